"""tuspyserver, as its documentation shows it."""

import os

from fastapi import FastAPI
from tuspyserver import create_tus_router

app = FastAPI()
app.include_router(create_tus_router(prefix="files", files_dir=os.environ["BENCHMARK_FOLDER"] + "/media"))
