#!/usr/bin/env node
// The reference contract (kvproto/conformance/CONTRACT.md) in JavaScript, for Node, with its own modules alone.
"use strict";
const fs = require("node:fs");

const PIECE = 1 << 16;
const MAX_BYTES = 2 ** 30;

class Fault extends Error {}

function writeAll(fd, data) {
  for (let at = 0; at < data.length; ) at += fs.writeSync(fd, data, at);
}

function tell(tag, text) {
  const lines = text.replaceAll("\n", `\n**<${tag}> `);
  writeAll(2, Buffer.from(`**<${tag}> ${lines}\n`, "latin1"));
}

function u32(n) {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32LE(n);
  return bytes;
}

// stdout: pieces are gathered, and written when there are many bytes of them or somebody flushes.
const stdout = {
  pieces: [],
  size: 0,
  write(...pieces) {
    for (const piece of pieces) {
      this.pieces.push(piece);
      this.size += piece.length;
    }
    if (this.size >= PIECE) this.flush();
  },
  flush() {
    if (!this.size) return;
    const data = Buffer.concat(this.pieces);
    this.pieces = [];
    this.size = 0;
    writeAll(1, data);
  },
};

// A source of bytes: from `fill`, a function that gives the next bytes, none of them at the end.
class Reader {
  constructor(fill) {
    this.fill = fill;
    this.data = Buffer.alloc(0);
    this.at = 0;
  }
  atEnd() {
    if (this.at === this.data.length) {
      this.data = this.fill();
      this.at = 0;
    }
    return this.data.length === 0;
  }
  take(size) {
    if (this.data.length - this.at >= size) return this.data.subarray(this.at, (this.at += size));
    const pieces = [];
    for (let left = size; left; ) {
      if (this.atEnd()) throw new Fault(`truncated input: ${left} bytes of ${size} are missing`);
      const piece = this.data.subarray(this.at, this.at + left);
      this.at += piece.length;
      left -= piece.length;
      pieces.push(piece);
    }
    return Buffer.concat(pieces);
  }
}

// A new buffer for each filling: what was taken from the one before stays as it is.
const stdin = new Reader(() => {
  stdout.flush();
  const buffer = Buffer.allocUnsafe(PIECE);
  return buffer.subarray(0, fs.readSync(0, buffer));
});

function item() {
  const size = stdin.take(4).readUInt32LE();
  if (size > MAX_BYTES) throw new Fault(`an item of ${size} bytes is over the limit`);
  return stdin.take(size);
}

function* pairs() {
  while (!stdin.atEnd()) yield [item(), item()];
}

function writePair([key, value]) {
  stdout.write(u32(key.length), key, u32(value.length), value);
}

function writeList(list) {
  stdout.write(u32(list.length));
  list.forEach(writePair);
}

function size(reader, closing) {
  let digits = "";
  for (;;) {
    const byte = reader.take(1).toString("latin1");
    if (byte === closing && digits) return Number(digits);
    digits += byte;
    if (!/^[0-9]{1,10}$/.test(digits)) throw new Fault("parameters: a size is not 1 to 10 digits");
  }
}

// Names and texts as strings of one character a byte, which keeps all bytes and their order.
function readParams() {
  const total = size(stdin, "\n");
  if (total > MAX_BYTES) throw new Fault(`parameters of ${total} bytes are over the limit`);
  const bytes = stdin.take(total);
  const entries = new Reader(() => Buffer.alloc(0));
  entries.data = bytes;
  const half = (closing) => {
    const text = entries.take(size(entries, " ")).toString("latin1");
    if (entries.take(1)[0] !== closing.charCodeAt(0)) throw new Fault("parameters: an entry is not closed");
    return text;
  };
  const params = new Map();
  while (entries.at < total) {
    const name = half(" ");
    params.set(name, half("\n"));
  }
  return params;
}

function readFile(name) {
  if (["", ".", ".."].includes(name) || /[/\0]/.test(name)) throw new Fault(`not the plain name of a file: ${name}`);
  return fs.readFileSync(Buffer.from(name, "latin1"));
}

function run(mode) {
  const params = readParams();
  const needed = (name) => {
    if (!params.has(name)) throw new Fault(`the parameter ${name} is missing`);
    return params.get(name);
  };
  const number = (name) => {
    const text = needed(name);
    if (!/^[0-9]{1,10}$/.test(text) || Number(text) >= 2 ** 32) {
      throw new Fault(`the parameter ${name} is not a number up to 4294967295`);
    }
    return Number(text);
  };
  const isMap = mode === "map";
  const each = (answer) => {
    let index = 0;
    for (const pair of pairs()) answer(pair, index++);
  };
  const echo = (pair) => writeList([pair]);
  const actions = {
    echo: () => each(echo),
    fan() {
      const n = number("n");
      each((pair) => {
        stdout.write(u32(n));
        for (let i = 0; i < n; i++) writePair(pair);
      });
    },
    sink: () => each(() => isMap && writeList([])),
    params() {
      const sorted = [...params].sort(([a], [b]) => (a < b ? -1 : 1));
      const list = sorted.map((pair) => pair.map((text) => Buffer.from(text, "latin1")));
      each(() => isMap && writeList(list));
      if (!isMap) writeList(list);
    },
    say() {
      const text = needed("text");
      each((pair, index) => {
        tell("MSG", `${text} ${index}`);
        echo(pair);
      });
    },
    err() {
      const [text, at] = [needed("text"), number("at")];
      each((pair, index) => {
        if (index === at) throw new Fault(text);
        echo(pair);
      });
    },
    file() {
      const name = needed("name");
      const list = [[Buffer.from(name, "latin1"), readFile(name)]];
      each(() => writeList(list));
    },
    hold() {
      if (isMap) return each(echo);
      const held = [...pairs()];
      writeList(held);
    },
  };
  const what = params.get("do") ?? "echo";
  if (!Object.hasOwn(actions, what)) throw new Fault(`do=${what}: not a thing that the contract knows`);
  actions[what]();
}

function main() {
  const mode = process.argv.slice(2).at(-1) ?? "";
  if (mode !== "map" && mode !== "reduce") throw new Fault(`the last argument is map or reduce, not '${mode}'`);
  try {
    run(mode);
  } finally {
    stdout.flush();
  }
  fs.closeSync(1);
}

try {
  main();
} catch (error) {
  tell("ERR", error.message);
  process.exitCode = 1;
}
