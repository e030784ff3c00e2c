// What Node does with threads: workers that share memory, the pool behind fs, dns, crypto and zlib, and the event loop over
// sockets, pipes of children, timers and signals. What is printed depends on nothing but this text.
'use strict';
const { Worker, isMainThread, parentPort, workerData, MessageChannel } = require('worker_threads');
const assert = require('assert');
const fs = require('fs');
const os = require('os');
const path = require('path');

const WORKERS = 8, ROUNDS = 2000;

if (!isMainThread) {
  // A mutex of Atomics.wait and notify around a counter, messages, and an allocation now and then.
  const { shared, index } = workerData;
  const words = new Int32Array(shared);
  const lock = () => {
    while (Atomics.compareExchange(words, 0, 0, 1) !== 0) Atomics.wait(words, 0, 1, 1000);
  };
  const unlock = () => {
    Atomics.store(words, 0, 0);
    Atomics.notify(words, 0, 1);
  };
  let garbage = [];
  for (let i = 0; i < ROUNDS; i++) {
    lock();
    words[1] = words[1] + 1; // not atomic: the mutex must hold
    unlock();
    if (i % 100 === 0) garbage = new Array(10000).fill(i);
  }
  Atomics.add(words, 2, 1);
  Atomics.notify(words, 2);
  while (Atomics.load(words, 2) < WORKERS) Atomics.wait(words, 2, Atomics.load(words, 2), 100);
  const late = Atomics.wait(words, 3, 0, 10); // nobody notifies
  parentPort.on('message', (m) => {
    parentPort.postMessage({ index, late, length: garbage.length, echo: m.n * 2 + index });
    if (m.last) parentPort.close();
  });
  return;
}

async function workers() {
  const shared = new SharedArrayBuffer(64);
  const words = new Int32Array(shared);
  let sum = 0, late = 0;
  await Promise.all([...Array(WORKERS).keys()].map((index) => new Promise((resolve, reject) => {
    const w = new Worker(__filename, { workerData: { shared, index } });
    let replies = 0;
    w.on('message', (m) => {
      assert.strictEqual(m.index, index);
      sum += m.echo;
      late += m.late === 'timed-out' ? 1 : 0;
      replies++;
    });
    w.on('error', reject);
    w.on('exit', (code) => {
      assert.strictEqual(code, 0);
      assert.strictEqual(replies, 20);
      resolve();
    });
    for (let n = 0; n < 20; n++) w.postMessage({ n, last: n === 19 });
  })));
  // One that computes for ever and is terminated.
  const endless = new Worker('for (;;);', { eval: true });
  await new Promise((resolve) => endless.on('online', resolve));
  assert.strictEqual(await endless.terminate(), 1);
  const waiting = new Worker('Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)', { eval: true });
  await new Promise((resolve) => waiting.on('online', resolve));
  assert.strictEqual(await waiting.terminate(), 1);
  const broken = new Worker('throw new Error("thrown in a worker")', { eval: true });
  const message = await new Promise((resolve) => broken.on('error', (e) => resolve(e.message)));
  const { port1, port2 } = new MessageChannel();
  const pong = new Promise((resolve) => port2.on('message', (m) => { port2.close(); resolve(m); }));
  port1.postMessage(new Map([[1, 'one']]));
  console.log('workers', words[1], sum, late, message, (await pong).get(1));
}

async function files(dir) {
  const crypto = require('crypto');
  let bytes = 0;
  await Promise.all([...Array(60).keys()].map(async (i) => {
    const name = path.join(dir, `file${i}`);
    await fs.promises.writeFile(name, Buffer.alloc(1000 * i + 1, i));
    await fs.promises.appendFile(name, 'end');
    const data = await fs.promises.readFile(name);
    assert.ok(data.equals(Buffer.concat([Buffer.alloc(1000 * i + 1, i), Buffer.from('end')])));
    const { size } = await fs.promises.stat(name);
    bytes += size;
    await fs.promises.rename(name, `${name}.x`);
    if (i % 2) await fs.promises.unlink(`${name}.x`);
  }));
  const left = (await fs.promises.readdir(dir)).length;
  const whole = path.join(dir, 'whole'), copy = path.join(dir, 'copy');
  fs.writeFileSync(whole, Buffer.alloc(3000000, 'abcdefg'));
  await new Promise((resolve, reject) => {
    fs.createReadStream(whole).pipe(require('zlib').createGzip()).pipe(require('zlib').createGunzip())
      .pipe(fs.createWriteStream(copy)).on('finish', resolve).on('error', reject);
  });
  const sum = crypto.createHash('sha256').update(fs.readFileSync(copy)).digest('hex');
  const seen = new Promise((resolve) => {
    const watcher = fs.watch(dir, (kind, name) => {
      if (name === 'watched') { watcher.close(); resolve(name); }
    });
  });
  fs.writeFileSync(path.join(dir, 'watched'), '');
  await assert.rejects(fs.promises.open(path.join(dir, 'absent')), { code: 'ENOENT' });
  console.log('files', bytes, left, sum.slice(0, 16), await seen);
}

async function pool() {
  const crypto = require('crypto'), zlib = require('zlib'), { promisify } = require('util');
  const keys = await Promise.all([...Array(12).keys()].map((i) => promisify(crypto.pbkdf2)('pw', `salt${i}`, 2000, 16, 'sha256')));
  const scrypt = await promisify(crypto.scrypt)('pw', 'salt', 16, { N: 1024 });
  const packed = await Promise.all([...Array(12).keys()].map((i) => promisify(zlib.brotliCompress)(Buffer.alloc(20000, `t${i}`))));
  const plain = await Promise.all(packed.map((b) => promisify(zlib.brotliDecompress)(b)));
  const random = await promisify(crypto.randomBytes)(32);
  console.log('pool', Buffer.concat(keys).toString('hex').slice(-16), scrypt.toString('hex').slice(0, 16),
    plain.reduce((n, b) => n + b.length, 0), random.length);
}

async function names() {
  const dns = require('dns').promises;
  const found = await Promise.all([...Array(20).keys()].map(() => dns.lookup('localhost', { family: 4 })));
  const numeric = await dns.lookup('127.0.0.1');
  const bad = await dns.lookup('name.invalid').then(() => 'found', (e) => e.syscall);
  const service = await dns.lookupService('127.0.0.1', 80).then((s) => s.service, (e) => e.code);
  // A resolver whose server does not answer: c-ares over a socket of ours, and its timeout.
  const silent = require('dgram').createSocket('udp4');
  await new Promise((resolve) => silent.bind(0, '127.0.0.1', resolve));
  const resolver = new dns.Resolver({ timeout: 50, tries: 1 });
  resolver.setServers([`127.0.0.1:${silent.address().port}`]);
  const late = await resolver.resolve4('example.invalid').catch((e) => e.code);
  silent.close();
  console.log('names', new Set(found.map((f) => f.address)).size, found[0].address, numeric.family, bad, service, late);
}

async function sockets() {
  const http = require('http'), net = require('net');
  const server = http.createServer((request, response) => {
    let body = '';
    request.on('data', (d) => { body += d; });
    request.on('end', () => setTimeout(() => response.end(`${request.url} ${body.length}`), 2));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const port = server.address().port;
  const agent = new http.Agent({ keepAlive: true, maxSockets: 10 });
  const answers = await Promise.all([...Array(100).keys()].map((i) => new Promise((resolve, reject) => {
    const r = http.request({ port, host: '127.0.0.1', agent, method: 'POST', path: `/${i}` }, (response) => {
      let text = '';
      response.on('data', (d) => { text += d; });
      response.on('end', () => resolve(text));
    });
    r.on('error', reject);
    r.end('x'.repeat(i * 100));
  })));
  agent.destroy();
  await new Promise((resolve) => server.close(resolve));
  const refused = await new Promise((resolve) => net.connect(port, '127.0.0.1').on('error', (e) => resolve(e.code)));
  console.log('sockets', answers.reduce((n, a) => n + a.length, 0), answers[7], refused);
}

async function children() {
  const { spawn, execFileSync } = require('child_process');
  const outputs = await Promise.all([...Array(10).keys()].map((i) => new Promise((resolve) => {
    const c = spawn('sh', ['-c', `cat; exit ${i}`]);
    let text = '';
    c.stdout.on('data', (d) => { text += d; });
    c.on('close', (code) => resolve(`${text}${code}`));
    c.stdin.end(`in${i} `);
  })));
  const killed = await new Promise((resolve) => {
    const c = spawn('sleep', ['600']);
    c.on('exit', (code, signal) => resolve(signal));
    c.on('spawn', () => c.kill());
  });
  const alive = setTimeout(() => {}, 600000); // a listener for a signal does not keep the loop
  const self = new Promise((resolve) => process.once('SIGUSR2', resolve)).finally(() => clearTimeout(alive));
  process.kill(process.pid, 'SIGUSR2');
  console.log('children', outputs.join(), killed, await self, execFileSync('echo', ['sync']).toString().trim());
}

async function timers() {
  const order = [];
  await Promise.all([30, 10, 20, 1].map((ms) => new Promise((resolve) => setTimeout(() => { order.push(ms); resolve(); }, ms))));
  const start = process.hrtime.bigint();
  await new Promise((resolve) => setTimeout(resolve, 25));
  console.log('timers', order.join(), process.hrtime.bigint() - start >= 24000000n);
}

(async () => {
  const dir = fs.mkdtempSync(path.join(process.argv[2] || os.tmpdir(), 'busy-'));
  try {
    await workers();
    await files(dir);
    await pool();
    await names();
    await sockets();
    await children();
    await timers();
  } finally {
    fs.rmSync(dir, { recursive: true, force: true });
  }
  process.on('exit', (code) => console.log('exit', code));
})();
