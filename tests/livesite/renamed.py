"""The names of the receiver ``renamed``, which the server's settings and the page's options must agree on."""

RENAMED = {
    "qquuid": "id",
    "qqfilename": "title",
    "qqtotalfilesize": "length",
    "qqfile": "content",
    "qqpartindex": "slice",
    "qqpartbyteoffset": "start",
    "qqchunksize": "bytes",
    "qqtotalparts": "slices",
    "qqresume": "again",
}
