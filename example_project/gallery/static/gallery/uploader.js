/* The upload page: the server makes the options, the template makes the look, and the rest is here. */
"use strict";

const element = document.getElementById("uploader");
const options = JSON.parse(document.getElementById(element.dataset.options).textContent);

function startUploader() {
    const uploader = new qq.FineUploader({
        ...options,
        element,
        template: "uploader-template",
        deleteFile: {...options.deleteFile, forceConfirm: true, confirmMessage: "Delete {filename} from the server?"},
        failedUploadTextDisplay: {mode: "custom"},  // show the server's own words
        text: {waitingForResponse: "Storing…", failUpload: "Upload failed"},
        display: {fileSizeOnSubmit: true},
        thumbnails: {timeBetweenThumbs: 50},
        callbacks: {
            onSubmitted: (id) => placeFirst(showKind(uploader, id)),
            onSessionRequestComplete: () => uploader.getUploads().forEach(({id}) => showKind(uploader, id)),
            onStatusChange: () => showSummary(uploader),
        },
    });
    return uploader;
}

/* Name the file's kind on its card, where a picture's thumbnail will cover it. */
function showKind(uploader, id) {
    const card = uploader.getItemByFileId(id);
    const extension = uploader.getName(id).match(/\.([^.]{1,4})$/);
    card.querySelector(".tile").dataset.kind = extension ? extension[1] : "file";
    return card;
}

/* The newest file comes first, as it does in the list that the server sends. */
function placeFirst(card) {
    card.parentNode.prepend(card);
}

/* Say in one line how things stand, for the eye and for screen readers. */
function showSummary(uploader) {
    const {UPLOAD_SUCCESSFUL, UPLOAD_FAILED, UPLOADING, UPLOAD_FINALIZING, UPLOAD_RETRYING, QUEUED, PAUSED} = qq.status;
    const parts = [
        ["uploading", [UPLOADING, UPLOAD_FINALIZING, UPLOAD_RETRYING]],
        ["waiting", [QUEUED]],
        ["paused", [PAUSED]],
        ["failed", [UPLOAD_FAILED]],
        ["stored", [UPLOAD_SUCCESSFUL]],
    ].map(([word, status]) => [uploader.getUploads({status}).length, word]);
    const summary = parts.filter(([count]) => count).map(([count, word]) => `${count} ${word}`).join(" · ");
    document.getElementById("upload-summary").textContent = summary;
}

if (window.qq) {
    window.uploader = startUploader();
} else {
    document.getElementById("client-missing").hidden = false;
}
