// Records what the published client sends, for test_fakeuploader.py to compare with:
//   TZ=UTC node record.cjs <package>/fine-uploader/fine-uploader.core.js > recorded.json
// The client runs unmodified on stubs of the browser; form data and blobs are Node's, which follow the same standards.

const fs = require("fs");

const UUID = "11111111-2222-4333-8444-555555555555";
let sent = [];

function element() {
    const ignore = () => undefined;
    return { type: "file", multiple: true, style: {}, setAttribute: ignore, appendChild: ignore, addEventListener: ignore,
        getContext: ignore, getElementsByTagName: () => [] };
}

function Recorder() {
    this.upload = {};
    this.headers = [];
    this.withCredentials = false;
}
Recorder.prototype = {
    open(method, url) { Object.assign(this, { method, url: url.replace(/qqtimestamp=\d+/, "qqtimestamp=0") }); },
    setRequestHeader(name, value) { this.headers.push([name, String(value)]); },
    abort() {},
    send(body) {
        const record = { method: this.method, url: this.url, headers: this.headers, body: null };
        sent.push(record);
        this.answer(record, body).then(() => this.onreadystatechange && this.onreadystatechange());
    },
    async answer(record, body) {
        if (body !== undefined) {
            const response = new Response(body);
            record.body = Buffer.from(await response.arrayBuffer()).toString("latin1");
            if (!record.headers.some(([name]) => name === "Content-Type")) {
                record.type = response.headers.get("content-type");
            }
        }
        Object.assign(this, { readyState: 4, status: 200, responseText: record.method === "GET" ? "[]" : '{"success":true}' });
    },
};

// Node's slice() wants whole numbers; the browser's clamps and rounds half to even.
const slice = Blob.prototype.slice;
const whole = (x) => (Number.isFinite(x) ? (Math.abs(x % 1) === 0.5 ? 2 * Math.round(x / 2) : Math.round(x)) : 0);
Blob.prototype.slice = function(start, end) { return slice.call(this, whole(start), whole(end)); };

Object.assign(global, {
    window: global,
    File: require("buffer").File,
    FileList: function() {},
    FileReader: function() {},
    XMLHttpRequest: Recorder,
    addEventListener() {},
    localStorage: { setItem() {}, removeItem() {}, getItem: () => null },
    location: { protocol: "http:", host: "localhost" },
    document: Object.assign(element(), { createElement: element, getElementById() {}, head: element(), body: element() }),
});
Object.defineProperty(global, "navigator", { value: { userAgent: "Chrome/156", vendor: "Google Inc.", platform: "" }, configurable: true });

const module_ = { exports: {} };
new Function("module", "exports", "define", fs.readFileSync(process.argv[2], "utf8")).call(global, module_, module_.exports, undefined);
const qq = module_.exports;
qq.getUniqueId = () => UUID;

const REQUEST = { endpoint: "/up", customHeaders: { "X-CSRFToken": "tok" }, params: { a: 1, n: { x: [1, 2] }, qqpartindex: "mine", t: true } };
const IN_QUERY = { paramsInBody: false };
const RAW = { paramsInBody: false, forceMultipart: false };
const chunks = (partSize, success = {}, more = {}) => ({ enabled: true, partSize, success: { endpoint: "/done", ...success }, ...more });
const page = ({ request = {}, ...more }) => ({ request: { ...REQUEST, ...request }, ...more });
const text = () => new File(["abcdefghijabcdefghijxyz12"], 'n"a me.txt', { type: "text/plain" });
const RENAMED = { uuidName: "id", filenameParam: "fn", totalFileSizeName: "ts", inputName: "the_file" };
const RENAMED_CHUNK = { partIndex: "pi", partByteOffset: "po", chunkSize: "cs", totalParts: "tp" };

const UPLOADS = {
    "simple": [page({}), text()],
    "simple, params in the query": [page({ request: IN_QUERY }), text()],
    "simple, raw body": [page({ request: RAW }), text()],
    "simple, default params omitted": [page({ request: { omitDefaultParams: true } }), text()],
    "simple, PUT": [page({ request: { method: "PUT" } }), text()],
    "simple, a blob": [page({}), new Blob(["hello"], { type: "image/png" })],
    "chunks": [page({ chunking: chunks(10) }), text()],
    "chunks, params in the query": [page({ request: IN_QUERY, chunking: chunks(10) }), text()],
    "chunks, raw body, done as JSON": [page({ request: RAW, chunking: chunks(10, { endpoint: "/done?x=1", jsonPayload: true }) }), text()],
    "chunks, concurrent, done by PUT": [page({ chunking: chunks(5, { method: "PUT" }, { concurrent: { enabled: true } }) }), text()],
    "chunks of a fractional size, done by PATCH": [page({ chunking: chunks(10 / 3, { method: "PATCH" }) }), new File(["0123456789"], "f.bin")],
    "chunks, done by GET": [page({ chunking: chunks(10, { method: "GET" }) }), text()],
    "mandatory chunks, an empty file": [page({ chunking: chunks(10, {}, { mandatory: true }) }), new File([], "e.bin")],
    "mandatory chunks, one part": [page({ chunking: chunks(10, {}, { mandatory: true }) }), new File(["ab"], "e.bin")],
    "chunks, renamed parameters": [page({ request: RENAMED, chunking: chunks(10, {}, { paramNames: RENAMED_CHUNK }) }), text()],
};

function upload(options, file) {
    sent = [];
    return new Promise((resolve) => {
        const callbacks = { onAllComplete: () => resolve(sent) };
        new qq.FineUploaderBasic(qq.extend({ callbacks, validation: { allowEmpty: true } }, JSON.parse(JSON.stringify(options)))).addFiles(file);
    });
}

async function remove(method, expected) {
    const options = { cors: { expected }, deleteFile: { enabled: true, method, endpoint: "/up", params: { why: "x y" }, customHeaders: { "X-CSRFToken": "tok" } },
        session: { endpoint: "/up/session", params: { p: 1 }, customHeaders: { "X-S": "1" } } };
    sent = [];
    await new Promise((resolve) => {
        const callbacks = { onSessionRequestComplete: resolve };
        new qq.FineUploaderBasic({ ...JSON.parse(JSON.stringify(options)), callbacks });
    });
    await new Promise((resolve) => {
        const uploader = new qq.FineUploaderBasic({ ...JSON.parse(JSON.stringify(options)), session: {}, callbacks: { onDeleteComplete: resolve } });
        uploader.addInitialFiles([{ uuid: UUID, name: "q" }]);
        uploader.deleteFile(0);
    });
    return { options, sent };
}

const ODD_PARAMS = {
    b: "x y", 2: "two", a: { b: { c: 1, d: null }, e: [1, "two", { z: 1 }] }, 1: "one", n: null, u: undefined, t: true, f: false,
    third: 10 / 3, big: 1e21, small: 1e-7, small6: 1e-6, mid: 123456789012345680000, neg: -0.5, arr: [1, null, undefined, "z", [3, 4]],
    "k[]": [1, 2], fn: () => "called", e: {}, empty: "", uni: "ä€😀", sym: "-_.!~*'()&=+%/?#", undefined: "no",
    d: new Date(Date.UTC(2021, 0, 2, 3, 4, 5, 678)), 'qu"ote\nname': "li\nne\rs\r\n",
};

async function encodings() {
    const form = qq.obj2FormData(ODD_PARAMS);
    form.append("lone", "\ud800");
    form.append("qqfile", new File(["abc"], 'a"b\nc.txt', { type: "text/plain" }));
    form.append("blob", new Blob(["xyz"]));
    const response = new Response(form);
    return {
        query: qq.obj2url(ODD_PARAMS, "/x?y=1"), urlencoded: qq.obj2url(ODD_PARAMS, ""), json: JSON.stringify(ODD_PARAMS),
        nothing: qq.obj2url({}, "/x"), "after a bare question mark": qq.obj2url({ a: 1 }, "/x?"), "empty first": qq.obj2url({ e: {}, a: 1 }, ""),
        "json of odd characters": JSON.stringify({ a: "\ud800\u0007\u007f\u2028" }),
        type: response.headers.get("content-type"), form: Buffer.from(await response.arrayBuffer()).toString("latin1"),
    };
}

(async () => {
    const uploads = {};
    for (const [name, [options, file]] of Object.entries(UPLOADS)) {
        uploads[name] = { options, file: [await file.text(), file.name === undefined ? null : file.name, file.type], sent: await upload(options, file) };
    }
    const deletes = [await remove("DELETE", false), await remove("DELETE", true), await remove("POST", false), await remove("POST", true)];
    const lines = (members) => members.map((member) => JSON.stringify(member)).join(",\n");
    const named = Object.entries(uploads).map(([name, value]) => `${JSON.stringify(name)}: ${JSON.stringify(value)}`).join(",\n");
    process.stdout.write(`{"uuid": "${UUID}",\n"encodings": ${JSON.stringify(await encodings())},\n`);
    process.stdout.write(`"uploads": {\n${named}\n},\n"deletes": [\n${lines(deletes)}\n]}\n`);
    process.exit(0);
})();
