// What the exported page does with codes, without a page: `node --test .ci/tokens.test.mjs`
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as T from '../anime_vq_nb/static/tokens.mjs'

const page = { side: 4, k: 10, tokenizer: '0123456789abcdef' }
const grid = (...codes) => Int32Array.from(codes)
const face = Int32Array.from({ length: 16 }, (_, i) => i % 10)

test('a code has one colour, neighbours differ, and ink is read on it', () => {
  const colours = Array.from({ length: 1024 }, (_, i) => T.colourOf(i))
  assert.deepEqual(T.colourOf(7), colours[7])
  assert.ok(colours.flat().every(c => Number.isInteger(c) && c >= 0 && c <= 255))
  assert.ok(new Set(colours.map(String)).size > 1000)
  for (let i = 1; i < 1024; i++) {
    const apart = colours[i].reduce((a, c, j) => a + Math.abs(c - colours[i - 1][j]), 0)
    assert.ok(apart > 60, `codes ${i - 1} and ${i} look alike`)
  }
  assert.deepEqual([T.inkOn([255, 255, 0]), T.inkOn([0, 0, 120])], ['#000', '#fff'])
})

test('the mean colour of each patch', () => {
  const rgba = [[10, 20, 30, 255], [30, 20, 10, 255], [0, 0, 0, 255], [255, 255, 255, 255]].flat()
  assert.deepEqual(T.meanColours(rgba, 4, 1, 4, 4), [[10, 20, 30], [30, 20, 10], [0, 0, 0], [255, 255, 255]])
  assert.deepEqual(T.meanColours([...rgba, ...rgba], 4, 2, 2, 2), [[20, 20, 20], [128, 128, 128]])
})

test('a patch in a sheet: its corners, and the last of a row that is not full', () => {
  const at = (code, columns, k) => T.inSheet('u', code, columns, k).backgroundPosition
  assert.deepEqual(T.inSheet('u', 0, 32, 256), { backgroundImage: 'url(u)', backgroundSize: '3200% 800%', backgroundPosition: '0% 0%' })
  assert.deepEqual([at(31, 32, 256), at(224, 32, 256), at(255, 32, 256)], ['100% 0%', '0% 100%', '100% 100%'])
  assert.deepEqual([at(6, 3, 7), at(4, 3, 7), at(2, 1, 3), at(2, 3, 3)], ['0% 100%', '50% 50%', '0 100%', '100% 0'])
})

test('bits: 256 codes of eight bits are 256 bytes', () => {
  assert.equal(T.countBits(256, 256), 2048)
  assert.equal(T.countBits(256, 1024), 2560)
})

test('codes go into an address and come back, holes too', () => {
  for (const k of [2, 10, 255, 256, 1023, 1024, 16384]) {
    const codes = Int32Array.from({ length: 256 }, (_, i) => (i * 7919) % (k + 1))
    const text = T.pack(codes, k)
    assert.match(text, /^[\w-]+$/)
    assert.deepEqual(T.unpack(text, 256, k), codes)
  }
  assert.deepEqual(T.fromHash('#' + T.toHash(face, page), page), face)
  assert.equal(T.fromHash('', page), null)
  assert.equal(T.fromHash('#', page), null)
})

test('an address that is damaged, or of another tokenizer, is refused', () => {
  const hash = T.toHash(face, page)
  for (const bad of [hash.slice(0, -1), hash + 'A', hash.replace('.', '.*'), 'words', '01234567.', hash + '.x'])
    assert.throws(() => T.fromHash(bad, page), /damaged/)
  assert.throws(() => T.unpack('____________', 16, 10), /damaged/) // codes of 15, where 10 is a hole
  assert.throws(() => T.fromHash(hash, { ...page, tokenizer: 'f' + page.tokenizer }), /another tokenizer/)
})

test('codes as text, and back, also as Python prints them', () => {
  const text = T.toText(grid(1, 2, 3, 10), 2, 10)
  assert.equal(text, '1 2\n3 .')
  assert.deepEqual(T.fromText(text, 2, 10), grid(1, 2, 3, 10))
  assert.deepEqual(T.fromText('tensor([[1, 2],\n        [3, 4]])', 2, 10), grid(1, 2, 3, 4))
  assert.deepEqual(T.fromText('array([[1, 2],\n       [3, 4]], dtype=uint16)', 2, 10), grid(1, 2, 3, 4))
  const elsewhere = "tensor([[1, 2], [3, 4]], device='cuda:0', dtype=torch.int32)"
  assert.deepEqual(T.fromText(elsewhere, 2, 10), grid(1, 2, 3, 4))
  assert.throws(() => T.fromText('1 2 3', 2, 10), /3 integers where a face has 4/)
  assert.throws(() => T.fromText('1 2 3 10', 2, 10), /10 is no code/)
  assert.throws(() => T.fromText('1 2 3 -4', 2, 10), /“-4” is no code/)
  assert.throws(() => T.fromText('1 2 3 x', 2, 10), /“x” is no code/)
})

test('a brush covers a square and stays inside', () => {
  assert.deepEqual(T.brush(5, 4, 1), [5])
  assert.deepEqual(T.brush(5, 4, 3), [0, 1, 2, 4, 5, 6, 8, 9, 10])
  assert.deepEqual(T.brush(0, 4, 3), [0, 1, 4, 5])
  assert.deepEqual(T.brush(15, 4, 2), [15])
})

test('a stroke has no gaps', () => {
  assert.deepEqual(T.stroke(0, 15, 4), [0, 5, 10, 15])
  assert.deepEqual(T.stroke(3, 0, 4), [3, 2, 1, 0])
  assert.deepEqual(T.stroke(6, 6, 4), [6])
  const steps = T.stroke(1, 59, 8).map(p => [p >> 3, p & 7])
  steps.slice(1).forEach(([y, x], i) => assert.ok(Math.abs(y - steps[i][0]) <= 1 && Math.abs(x - steps[i][1]) <= 1))
})

test('painting changes the places, and not the grid that it was given', () => {
  const before = face.slice(), after = T.paint(face, [0, 3], 9)
  assert.deepEqual(face, before)
  assert.deepEqual([...after.keys()].filter(p => after[p] !== face[p]), [0, 3])
  assert.equal(T.paint(after, [0, 3], 9), after)
})

test('the palette begins with the most used code, and has every code', () => {
  assert.deepEqual(T.palette(grid(3, 1, 3, 4), 4), [[3, 2], [1, 1], [0, 0], [2, 0]])
  assert.deepEqual(T.withoutHoles(grid(3, 1, 3, 4), 4), grid(3, 1, 3, 3))
})

test('of many things that come while one is done, the last is done next, and only that', async () => {
  const done = [], ends = []
  const f = T.latest(async thing => {
    await new Promise(end => ends.push(end))
    done.push(thing)
  })
  const next = () => new Promise(setImmediate)
  const all = Promise.all([1, 2, 3].map(f))
  ends.shift()()
  await next()
  f(4)
  f(5)
  ends.shift()()
  await next()
  ends.shift()()
  await all
  assert.deepEqual(done, [1, 3, 5])
  const again = f(6)
  ends.shift()()
  await again
  assert.equal(done.at(-1), 6)
})

test('what fails is told to all who wait, and does not stop the next', async () => {
  const f = T.latest(async thing => { if (thing === 'bad') throw Error('no') })
  await assert.rejects(Promise.all([f('bad'), f('bad')]), /no/)
  await f('good')
})

test('a mixture begins as one face and ends as the other', () => {
  const a = grid(1, 1, 1, 1, 5), b = grid(2, 2, 2, 2, 5), order = [4, 3, 2, 1, 0]
  assert.deepEqual(T.mix(a, b, 0, order), a)
  assert.deepEqual(T.mix(a, b, 1, order), b)
  assert.deepEqual(T.mix(a, b, .5, order), grid(1, 1, 2, 2, 5))
})

test('undo and redo', () => {
  const h = new T.History('a', 2)
  h.push('a')
  assert.equal(h.undo(), 'a')
  for (const s of 'bcd') h.push(s)
  assert.deepEqual([h.undo(), h.undo(), h.undo()], ['c', 'b', 'b']) // two steps are kept
  assert.equal(h.redo(), 'c')
  h.push('x')
  assert.deepEqual([h.redo(), h.undo()], ['x', 'c'])
  const g = new T.History(grid(1, 2))
  g.push(grid(1, 2)) // equal, though another grid
  assert.equal(g.past.length, 0)
})

test('uniform numbers: the same from the same seed, and even', () => {
  const [a, b] = [T.uniform(3), T.uniform(3)], us = Array.from({ length: 4000 }, a)
  assert.deepEqual(us.slice(0, 9), Array.from({ length: 9 }, b))
  assert.ok(us.every(u => u >= 0 && u < 1))
  for (let i = 0; i < 4; i++) assert.ok(Math.abs(us.filter(u => Math.floor(4 * u) === i).length / 4000 - .25) < .03)
})

test('a code is drawn as often as its probability', () => {
  const logits = Float32Array.from([99, 99, 99, Math.log(.2), Math.log(.5), Math.log(.3)])
  const at = u => T.draw(logits, 1, 3, u)
  assert.deepEqual([0, .19, .21, .69, .71, .999].map(u => at(u)[0]), [0, 0, 1, 1, 2, 2])
  assert.ok(Math.abs(at(.5)[1] - Math.log(.5)) < 1e-6)
  assert.equal(T.draw(logits, 1, 3, .999, 0)[0], 1) // temperature 0: the best
  assert.equal(T.draw(logits, 1, 3, .05, .05)[0], 1) // cold: nearly so
})

test('the holes that are left follow the cosine, what is known stays, and the end has no holes', async () => {
  const k = 5, start = new Int32Array(64).fill(k).fill(3, 0, 14), left = [], random = T.uniform(0)
  const logits = Float32Array.from({ length: 64 * k }, (_, i) => (i % k) / 2)
  let codes
  for await (codes of T.fill(start, k, () => logits, { steps: 8, random })) left.push(codes.filter(c => c === k).length)
  assert.deepEqual(left, Array.from({ length: 8 }, (_, s) => Math.floor(50 * T.fillSchedule((s + 1) / 8))))
  assert.ok(codes.subarray(0, 14).every(c => c === 3))
  assert.equal(left.at(-1), 0)
  for await (const _ of T.fill(codes, k, () => assert.fail('there is nothing to fill'), { random })) assert.fail()
})

test('without noise the surest code comes first', () => {
  const k = 2, logits = Float32Array.from([0, 1, 0, 9, 0, 3, 0, 5])
  const sure = { noise: 0, temperature: 0, random: () => .5 }
  const step = T.fillStep(grid(2, 2, 2, 2), logits, k, { t: 1 / 3, holes: 4, ...sure })
  assert.deepEqual(step, grid(2, 1, 2, 2)) // floor(4 cos 30°) = 3 are left
})

test('Halton: every place once, spread from the first on', () => {
  const order = T.haltonOrder(16)
  assert.deepEqual([...order].sort((a, b) => a - b), [...Array(256).keys()])
  const quarters = order.slice(0, 16).map(p => 2 * (p >> 7) + (p % 16 >> 3))
  for (let q = 0; q < 4; q++) assert.ok(Math.abs(quarters.filter(x => x === q).length - 4) <= 1)
  assert.deepEqual(order.slice(0, 4), [133, 74, 193, 39]) // those of halton_order in 10_prior
})

test('an autoregressive prior is asked for each code with the one before it', async () => {
  const asked = []
  const next = (last, at) => {
    asked.push([last, at])
    return Float32Array.from([0, 1, 2], code => code === at % 3 ? 99 : 0)
  }
  const rows = []
  for await (const codes of T.generate(2, 3, next, { random: () => .5 })) rows.push([...codes])
  assert.deepEqual(asked, [[3, 0], [0, 1], [1, 2], [2, 3]])
  assert.deepEqual(rows, [[0, 1, 3, 3], [0, 1, 2, 0]])
})

test('resizing: a flat picture stays flat, a ramp a ramp, the same size the same', () => {
  const flat = new Uint8Array(3 * 60).fill(77)
  assert.ok(T.resize(flat, 10, 6, 4, 9).every(v => v === 77))
  const ramp = Uint8Array.from({ length: 3 * 32 }, (_, i) => 8 * Math.floor(i / 3))
  assert.deepEqual(T.resize(ramp, 32, 1, 32, 1), ramp)
  const small = T.resize(ramp, 32, 1, 8, 1)
  for (let i = 1; i < 7; i++) assert.ok(Math.abs(small[3 * i] - 8 * (4 * i + 1.5)) <= 1)
})

test('a square keeps the whole picture, on white', () => {
  const rgba = Uint8Array.from({ length: 4 * 8 }, (_, i) => i % 4 === 3 ? 255 : 0) // 4×2, black
  assert.deepEqual([...T.toSquare(rgba, 4, 2, 4)].filter((_, i) => i % 12 === 0), [255, 0, 0, 255])
  assert.ok(T.toSquare(new Uint8Array(4 * 4), 2, 2, 2).every(v => v === 255)) // transparent
})

test('from bytes to the encoder, and from the decoder to bytes', () => {
  const rgb = Uint8Array.from([0, 51, 102, 153, 204, 255])
  assert.deepEqual([...T.toTensor(rgb)].map(v => Math.round(v * 10)), [-10, 2, -6, 6, -2, 10])
  assert.deepEqual([...T.toRGBA(T.toTensor(rgb))], [0, 51, 102, 255, 153, 204, 255, 255])
  assert.deepEqual([...T.toRGBA([-2, 2, NaN])].slice(0, 2), [0, 255])
})
