// Unpacks the brotli files of a folder: unpack.cjs <from> <to>. Python's library has no brotli.
const fs = require("node:fs");
const path = require("node:path");
const zlib = require("node:zlib");
const { pipeline } = require("node:stream/promises");

const [from, to] = process.argv.slice(2);
(async () => {
    for (const name of fs.readdirSync(from).filter((name) => name.endsWith(".br"))) {
        const source = fs.createReadStream(path.join(from, name));
        const target = fs.createWriteStream(path.join(to, name.slice(0, -".br".length)));
        await pipeline(source, zlib.createBrotliDecompress(), target);
    }
})();
