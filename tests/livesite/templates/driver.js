/* Starts the client with options from a test and notes what it reports. */
window.driver = (function() {
    "use strict";
    const events = [];

    function note(event, details) {
        events.push(Object.assign({event: event}, details));
    }

    const callbacks = {
        onAllComplete: (succeeded, failed) => note("all_complete", {succeeded, failed}),
        onAutoRetry: (id, name, attempt) => note("auto_retry", {id, attempt}),
        onCancel: (id) => note("cancel", {id}),
        onComplete: (id, name, response, xhr) => note("complete", {id, name, response, status: xhr ? xhr.status : null}),
        onDeleteComplete: (id, xhr, failed) => note("delete", {id, failed, status: xhr.status}),
        onError: (id, name, reason, xhr) => note("error", {id, reason, status: xhr ? xhr.status : null}),
        onResume: (id) => note("resume", {id}),
        onSessionRequestComplete: (items, success, xhr) => note("session", {items, success, status: xhr.status}),
        onUploadChunk: (id, name, chunk) => note("sending", {id, index: chunk.partIndex}),
        onUploadChunkSuccess: (id, chunk, response) => note("chunk", {id, index: chunk.partIndex, response})
    };

    function merge(base, more) {
        const merged = Object.assign({}, base);
        for (const key of Object.keys(more)) {
            const both = [merged[key], more[key]].every((value) => value && value.constructor === Object);
            merged[key] = both ? merge(merged[key], more[key]) : more[key];
        }
        return merged;
    }

    function decode(base64) {
        return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    }

    return {
        events: events,
        merge: merge,
        generated(alias) {
            const suffix = alias === "default" ? "" : "-" + alias;
            return JSON.parse(document.getElementById("fineuploader-options" + suffix).textContent);
        },
        start(ui, options) {
            const given = merge(options, {callbacks: merge(callbacks, options.callbacks || {})});
            if (ui) {
                given.element = document.getElementById("uploader");
            } else {
                given.button = document.getElementById("button");
            }
            this.uploader = ui ? new qq.FineUploader(given) : new qq.FineUploaderBasic(given);
        },
        add(files) {
            this.uploader.addFiles(files.map((file) => {
                const made = new File([decode(file.base64)], file.name, {type: file.type});
                if (file.path) {
                    made.qqPath = file.path;
                }
                return made;
            }));
        },
        settled(reported) {
            const pending = ["submitting", "submitted", "queued", "uploading", "upload finalizing", "retrying upload"];
            const over = events.slice(reported).some((one) => one.event === "all_complete");
            return over && this.uploader.getUploads({status: pending}).length === 0;
        },
        count(event) {
            return events.filter((one) => one.event === event).length;
        }
    };
}());
