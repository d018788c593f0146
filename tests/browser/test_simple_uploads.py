"""Files that travel in one request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from browser.files import File, make_file
from browser.person import complete
from browser.uploader import Outcome
from livesite.renamed import RENAMED

if TYPE_CHECKING:
    from browser.person import Person

RAW = {"request": {"paramsInBody": False, "forceMultipart": False}}
IN_QUERY = {"request": {"paramsInBody": False, "forceMultipart": True}}
ABOVE_DJANGOS_MEMORY_LIMIT = 2_621_440 + 1
HOSTILE_NAMES = [
    "../../etc/passwd",
    "..\\..\\windows\\system.ini",
    "/etc/passwd",
    "..",
    ".",
    "quo\"te's.txt",
    "новый файл.txt",
    "写真.png",
    "\u202egnp.exe",
    "<script>alert(1)</script>.html",
    "a" * 300 + ".txt",
    "percent%2e%2e%2f.txt",
    "tab\there.txt",
]


def test_small_file_is_one_post_and_is_stored_byte_for_byte(person: Person) -> None:
    file = File(name="hello.txt", content="Größe: 5 °C\n".encode(), type="text/plain")
    uploader = person.start()
    assert uploader.upload(file) == Outcome(succeeded=[0])
    assert person.wire.kinds == ["upload"]
    assert person.wire.messages[0].method == "POST"
    assert person.stored() == complete(file)
    assert uploader.answer() == {"success": True, "uuid": uploader.uuid(), "complete": True}


def test_upload_is_completed_once_and_says_so_by_signals(person: Person) -> None:
    uploader = person.start()
    uploader.upload(make_file(25))
    assert person.site.signals(uploader.uuid()).count("upload_started") == 1
    assert person.site.signals(uploader.uuid()).count("upload_completed") == 1


@pytest.mark.parametrize("mode", [{}, IN_QUERY, RAW], ids=["multipart", "query", "raw"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_every_encoding_and_method_stores_the_file(person: Person, mode: dict[str, Any], method: str) -> None:
    file = make_file(1000)
    uploader = person.start("default", mode, {"request": {"method": method}})
    assert uploader.upload(file) == Outcome(succeeded=[0])
    assert [message.method for message in person.wire.messages] == [method]
    assert person.stored() == complete(file)


@pytest.mark.parametrize("mode", [{}, RAW], ids=["multipart", "raw"])
def test_file_above_djangos_memory_limit_streams_through(person: Person, mode: dict[str, Any]) -> None:
    file = make_file(ABOVE_DJANGOS_MEMORY_LIMIT)
    assert person.start("default", mode).upload(file) == Outcome(succeeded=[0])
    assert person.stored() == complete(file)


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_hostile_name_is_kept_for_display_and_stored_inside_the_root(person: Person, name: str) -> None:
    file = make_file(25, name)
    assert person.start().upload(file) == Outcome(succeeded=[0])
    assert person.stored() == complete(file)
    stored = (person.site.media / person.upload()["file"]).resolve()
    assert stored.is_relative_to(person.site.media.resolve())
    assert stored.read_bytes() == file.content


@pytest.mark.parametrize("mode", [{}, IN_QUERY, RAW], ids=["multipart", "query", "raw"])
def test_file_without_a_name_is_stored(person: Person, mode: dict[str, Any]) -> None:
    """Django's parser drops a file part whose name is empty."""
    file = make_file(25, "")
    assert person.start("default", mode).upload(file) == Outcome(succeeded=[0])
    assert person.upload()["sha256"] == file.sha256


@pytest.mark.parametrize("mode", [{}, IN_QUERY, RAW], ids=["multipart", "query", "raw"])
@pytest.mark.parametrize("chunking", [{}, {"enabled": True, "partSize": 10}], ids=["simple", "chunked"])
def test_empty_file_is_stored(person: Person, mode: dict[str, Any], chunking: dict[str, Any]) -> None:
    file = make_file(0)
    uploader = person.start("default", mode, {"validation": {"allowEmpty": True}, "chunking": chunking})
    assert uploader.upload(file) == Outcome(succeeded=[0])
    assert person.wire.kinds == ["upload"]
    assert person.stored() == complete(file)


def test_six_files_at_once_are_stored_and_none_is_mixed_up(person: Person) -> None:
    files = [make_file(1000 + seed, f"{seed}.bin", seed=seed) for seed in range(6)]
    assert person.start().upload(*files) == Outcome(succeeded=[0, 1, 2, 3, 4, 5])
    assert person.stored() == complete(*files)


def test_six_files_of_one_name_are_six_files(person: Person) -> None:
    """Phones name every picture image.jpg."""
    files = [make_file(1000 + seed, "image.jpg", seed=seed) for seed in range(6)]
    assert person.start().upload(*files) == Outcome(succeeded=[0, 1, 2, 3, 4, 5])
    assert person.stored() == complete(*files)
    assert len({upload["file"] for upload in person.uploads()}) == 6


def test_file_from_the_real_picker_is_stored(person: Person) -> None:
    file = make_file(1000, "picked.bin")
    uploader = person.start()
    picked = {"name": file.name, "mimeType": file.type, "buffer": file.content}
    uploader.page.locator("#button input[type=file]").set_input_files(picked)  # type: ignore[arg-type]
    assert uploader.finish() == Outcome(succeeded=[0])
    assert person.stored() == complete(file)


def test_generated_options_upload_as_they_are(person: Person) -> None:
    """The page's marker says that it sends the success request; after a simple upload it does not."""
    small, large = make_file(1000, "small.bin"), make_file(6_000_000, "large.bin")
    assert person.start_generated().upload(small, large) == Outcome(succeeded=[0, 1])
    assert person.wire.kinds.count("done") == 1
    assert person.stored() == complete(small, large)


def test_generated_options_work_with_the_ui_build(person: Person) -> None:
    file = make_file(1000)
    uploader = person.start_generated(ui=True)
    assert uploader.upload(file) == Outcome(succeeded=[0])
    assert uploader.page.locator(".qq-upload-success").count() == 1
    assert person.stored() == complete(file)


def test_anonymous_visitor_uploads_with_generated_options(new_person: Any) -> None:
    person = new_person(logged_in=False)
    file = make_file(25)
    uploader = person.start_generated("anonymous")
    assert uploader.upload(file) == Outcome(succeeded=[0])
    (upload,) = person.site.uploads(uuid=uploader.uuid())
    assert (upload["state"], upload["sha256"]) == ("complete", file.sha256)


def test_endpoint_with_a_doubled_slash_works(person: Person) -> None:
    file = make_file(25)
    uploader = person.start("default", {"request": {"endpoint": person.endpoint() + "/"}})
    assert uploader.upload(file) == Outcome(succeeded=[0])
    assert person.stored() == complete(file)


def test_renamed_parameters_are_understood(person: Person) -> None:
    file = make_file(25)
    names = {
        "request": {
            "uuidName": RENAMED["qquuid"],
            "filenameParam": RENAMED["qqfilename"],
            "totalFileSizeName": RENAMED["qqtotalfilesize"],
            "inputName": RENAMED["qqfile"],
        },
        "chunking": {
            "enabled": True,
            "partSize": 10,
            "paramNames": {
                "partIndex": RENAMED["qqpartindex"],
                "partByteOffset": RENAMED["qqpartbyteoffset"],
                "chunkSize": RENAMED["qqchunksize"],
                "totalParts": RENAMED["qqtotalparts"],
            },
        },
    }
    assert person.start("renamed", names).upload(file) == Outcome(succeeded=[0])
    assert [message["slice"] for message in person.wire.messages] == ["0", "1", "2"]
    assert person.stored() == complete(file)


def test_generated_options_know_the_renamed_parameters(person: Person) -> None:
    file = make_file(25)
    uploader = person.start_generated("renamed", {"chunking": {"partSize": 10}})
    assert uploader.upload(file) == Outcome(succeeded=[0])
    chunks = [message for message in person.wire.messages if message.method == "POST"][:3]
    assert all("slice" in message and "qqpartindex" not in message for message in chunks)
    assert person.stored() == complete(file)


def test_custom_parameters_are_kept_as_a_nested_dictionary(person: Person) -> None:
    params = {"album": {"title": "Été", "tags": {"first": "sea"}}, "list": [1, "two"], "yes": True, "nothing": None}
    person.start("default", {"request": {"params": params}}).upload(make_file(25))
    assert person.upload()["params"] == {
        "album": {"title": "Été", "tags": {"first": "sea"}},
        "list": "1,two",
        "yes": "true",
        "nothing": "null",
    }


def test_custom_parameters_in_the_query_keep_their_lists(person: Person) -> None:
    params = {"album": {"title": "Été"}, "list": [1, "two"]}
    person.start("default", RAW, {"request": {"params": params}}).upload(make_file(25))
    assert person.upload()["params"] == {"album": {"title": "Été"}, "list": ["1", "two"]}


def test_chunk_names_as_custom_parameters_do_not_make_a_chunk(person: Person) -> None:
    file = make_file(25)
    params = {"request": {"params": {"qqpartindex": "1"}}}
    assert person.start("default", params).upload(file) == Outcome(succeeded=[0])
    assert person.stored() == complete(file)


def test_custom_parameter_that_is_a_file_is_not_taken_for_the_file(person: Person) -> None:
    file = make_file(25)
    tweak = "options => { options.request.params = {thumb: new Blob(['not the file'])}; return options; }"
    assert person.start(tweak=tweak).upload(file) == Outcome(succeeded=[0])
    assert person.stored() == complete(file)


def test_parameters_without_a_uuid_are_refused_in_words(person: Person) -> None:
    uploader = person.start("default", {"request": {"omitDefaultParams": True}})
    outcome = uploader.upload(make_file(25))
    assert outcome == Outcome(succeeded=[], failed=[0], errors=[uploader.answer()["error"]])
    assert uploader.answer()["code"] == "missing_parameter"
    assert person.uploads() == []


def test_edited_name_is_the_one_that_is_kept(person: Person) -> None:
    file = make_file(25, "before.bin")
    uploader = person.start("default", {"autoUpload": False})
    uploader.add(file)
    uploader.call("setName", 0, "after.bin")
    uploader.call("uploadStoredFiles")
    assert uploader.finish() == Outcome(succeeded=[0])
    assert person.upload()["filename"] == "after.bin"


def test_folder_that_was_dropped_is_kept_as_data(person: Person) -> None:
    file = File(name="deep.bin", content=b"deep", path="top/sub/deep.bin")
    uploader = person.start("default", {"dragAndDrop": {"reportDirectoryPaths": True}}, ui=True)
    assert uploader.upload(file) == Outcome(succeeded=[0])
    assert person.wire.messages[0]["qqpath"].startswith("top/sub/")
    assert person.upload()["params"] == {"qqpath": person.wire.messages[0]["qqpath"]}


def test_attached_form_carries_the_csrf_token_and_its_fields(person: Person) -> None:
    file = make_file(25)
    uploader = person.open()
    uploader.page.evaluate(
        """([action, token]) => {
            const form = document.createElement("form");
            form.id = "qq-form";
            form.action = action;
            form.innerHTML = '<input type="hidden" name="csrfmiddlewaretoken"><input name="title" value="Sea">';
            form.elements[0].value = token;
            document.body.append(form);
        }""",
        [person.endpoint(), uploader.page.evaluate("csrfToken")],
    )
    uploader.start({})
    uploader.add(file)
    uploader.call("uploadStoredFiles")
    assert uploader.finish() == Outcome(succeeded=[0])
    assert person.stored() == complete(file)
    assert person.upload()["params"] == {"title": "Sea"}


def test_answer_that_was_lost_is_repeated_into_the_same_upload(person: Person) -> None:
    """The server has the file when the connection breaks: the client sends it again, as it does after any failure."""
    file = make_file(25)
    uploader = person.start("default", {"retry": {"enableAuto": True}})
    person.wire.lose_answer(lambda message: True)
    assert uploader.upload(file).succeeded == [0]
    assert person.wire.kinds == ["upload", "upload"]
    assert person.stored() == complete(file)
    assert person.site.signals(uploader.uuid()).count("upload_completed") == 1


def test_server_that_fails_once_gets_a_second_post_for_one_file(person: Person) -> None:
    file = make_file(25)
    uploader = person.start("default", {"retry": {"enableAuto": True}})
    person.wire.fail(lambda message: True)
    assert uploader.upload(file).succeeded == [0]
    assert [message["qquuid"] for message in person.wire.messages] == [uploader.uuid()] * 2
    assert person.stored() == complete(file)
