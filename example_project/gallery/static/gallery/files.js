/* The delete buttons of "My files" ask the upload endpoint, as Fine Uploader does. */
"use strict";

const error = document.getElementById("files-error");

async function remove(button) {
    if (!window.confirm(`Delete ${button.dataset.name} from the server?`)) {
        return;
    }
    button.disabled = true;
    const token = document.querySelector("[name=csrfmiddlewaretoken]").value;
    try {
        const response = await fetch(button.dataset.delete, {method: "DELETE", headers: {"X-CSRFToken": token}});
        if (!response.ok) {
            throw new Error((await response.json()).error);
        }
        window.location.reload();
    } catch (reason) {
        button.disabled = false;
        error.textContent = `${button.dataset.name} was not deleted: ${reason.message}`;
        error.hidden = false;
    }
}

document.querySelectorAll("[data-delete]").forEach((button) => button.addEventListener("click", () => remove(button)));
