// What the page does with codes, without a page: nothing here knows a document, a network or a clock.
// A grid of codes is an Int32Array of side² integers, row by row, from 0 to k-1; a hole, where a code was erased, is k.

/** Colour of a code by its number, as [r, g, b]: hues a golden angle apart, in three lightnesses */
export function colourOf(code) {
  const hue = (code * 137.508) % 360, light = [.62, .48, .76][code % 3], chroma = .62 * Math.min(light, 1 - light)
  return [0, 8, 4].map(n => {
    const a = (n + hue / 30) % 12
    return Math.round(255 * (light - chroma * Math.max(-1, Math.min(a - 3, 9 - a, 1))))
  })
}

/** Black or white, whichever is read better on a colour */
export const inkOn = ([r, g, b]) => .299 * r + .587 * g + .114 * b > 140 ? '#000' : '#fff'

/** Mean colour of each patch of a picture whose patches lie side by side, as RGBA, `columns` in a row */
export function meanColours(rgba, width, patch, columns, k) {
  return Array.from({ length: k }, (_, code) => {
    const x0 = code % columns * patch, y0 = Math.floor(code / columns) * patch, sum = [0, 0, 0]
    for (let y = y0; y < y0 + patch; y++)
      for (let x = x0; x < x0 + patch; x++)
        for (let c = 0; c < 3; c++) sum[c] += rgba[4 * (y * width + x) + c]
    return sum.map(s => Math.round(s / patch ** 2))
  })
}

/** How the patch of a code is shown, as CSS, out of a picture of all of them, `columns` in a row */
export function inSheet(url, code, columns, k) {
  const rows = Math.ceil(k / columns), at = (i, n) => n > 1 ? `${100 * i / (n - 1)}%` : '0'
  return {
    backgroundImage: `url(${url})`, backgroundSize: `${100 * columns}% ${100 * rows}%`,
    backgroundPosition: `${at(code % columns, columns)} ${at(Math.floor(code / columns), rows)}`,
  }
}

// -- codes as text ---------------------------------------------------------------------------------------------------

/** Bits that `n` codes out of `k` take when each is as likely as any other */
export const countBits = (n, k) => n * Math.log2(k)

/** Codes as base64url; each takes as many bits as it needs for k+1 values, the last of which is a hole */
export function pack(codes, k) {
  const width = Math.ceil(Math.log2(k + 1)), bytes = new Uint8Array(Math.ceil(codes.length * width / 8))
  codes.forEach((code, i) => {
    for (let b = 0; b < width; b++)
      if (code >> (width - 1 - b) & 1) bytes[(i * width + b) >> 3] |= 128 >> ((i * width + b) & 7)
  })
  return btoa(Array.from(bytes, b => String.fromCharCode(b)).join('')).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}

/** The way back from `pack`, to `n` codes; an Error for what it did not make */
export function unpack(text, n, k) {
  const width = Math.ceil(Math.log2(k + 1)), length = Math.ceil(n * width / 8), codes = new Int32Array(n)
  if (!/^[\w-]*$/.test(text) || text.length !== Math.ceil(length * 4 / 3)) throw Error('the address is damaged')
  const bytes = Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), c => c.charCodeAt(0))
  for (let i = 0; i < n * width; i++)
    codes[Math.floor(i / width)] = codes[Math.floor(i / width)] << 1 | bytes[i >> 3] >> (7 - (i & 7)) & 1
  if (codes.some(c => c > k)) throw Error('the address is damaged')
  return codes
}

/** A face as the part of an address behind #: whose codes, and the codes */
export const toHash = (codes, { k, tokenizer }) => `${tokenizer.slice(0, 8)}.${pack(codes, k)}`

/** The way back; null for an empty one, an Error for one that is damaged or of another tokenizer */
export function fromHash(hash, { side, k, tokenizer }) {
  const [name, text, ...more] = hash.replace(/^#/, '').split('.')
  if (!name && text === undefined) return null
  if (text === undefined || more.length) throw Error('the address is damaged')
  if (name !== tokenizer.slice(0, 8)) throw Error('this address is of another tokenizer, whose codes mean other things')
  return unpack(text, side * side, k)
}

/** A row a line; a hole is a dot */
export function toText(codes, side, k) {
  const wide = String(k - 1).length, word = c => (c === k ? '.' : String(c)).padStart(wide)
  const row = y => [...codes.slice(y * side, y * side + side)].map(word).join(' ')
  return Array.from({ length: side }, (_, y) => row(y)).join('\n')
}

/** The way back, also from what Python prints; an Error for other words, another number of them, or no code */
export function fromText(text, side, k) {
  const words = text.replace(/(np\.|numpy\.)?(tensor|array)|(dtype|device)=('[^']*'|[\w.]+)|[\[\](),;]/g, ' ').split(/\s+/).filter(Boolean)
  const wrong = words.find(w => !/^(\d{1,9}|\.)$/.test(w))
  if (wrong) throw Error(`“${wrong.slice(0, 20)}” is no code; codes are integers, and a dot is a hole`)
  if (words.length !== side * side) throw Error(`${words.length} integers where a face has ${side * side}`)
  const codes = Int32Array.from(words, w => w === '.' ? k : +w)
  const large = words.find(w => +w >= k)
  if (large) throw Error(`${large} is no code; they go from 0 to ${k - 1}`)
  return codes
}

// -- painting --------------------------------------------------------------------------------------------------------

/** Places of a square brush, `width` codes wide, around a place */
export function brush(at, side, width = 1) {
  const row = Math.floor(at / side), column = at % side, low = -((width - 1) >> 1), places = []
  for (let y = row + low; y < row + low + width; y++)
    for (let x = column + low; x < column + low + width; x++)
      if (y >= 0 && x >= 0 && y < side && x < side) places.push(y * side + x)
  return places
}

/** Places on the way from one to another, both included: a fast hand leaves no gaps */
export function stroke(from, to, side) {
  const [y0, x0, y1, x1] = [Math.floor(from / side), from % side, Math.floor(to / side), to % side]
  const n = Math.max(Math.abs(y1 - y0), Math.abs(x1 - x0))
  if (!n) return [to]
  return Array.from({ length: n + 1 }, (_, i) =>
    Math.round(y0 + (y1 - y0) * i / n) * side + Math.round(x0 + (x1 - x0) * i / n))
}

/** Other codes at some places; the grid itself stays as it is, and comes back where nothing changes */
export function paint(codes, places, code) {
  if (places.every(p => codes[p] === code)) return codes
  const painted = codes.slice()
  for (const p of places) painted[p] = code
  return painted
}

/** [code, how often] for every code, the most used first, then by number */
export function palette(codes, k) {
  const counts = new Array(k).fill(0)
  for (const c of codes) if (c < k) counts[c]++
  return counts.map((n, code) => [code, n]).sort((a, b) => b[1] - a[1] || a[0] - b[0])
}

/** What a decoder can take: each hole becomes the code that the grid has most of */
export function withoutHoles(codes, k) {
  const most = palette(codes, k)[0][0]
  return codes.map(c => c === k ? most : c)
}

/** From one grid to another, code by code: a part `t` of the places where they differ, in a given order */
export function mix(a, b, t, order) {
  const differ = order.filter(p => a[p] !== b[p]), mixed = a.slice()
  for (const p of differ.slice(0, Math.round(t * differ.length))) mixed[p] = b[p]
  return mixed
}

const same = (a, b) => a.length === b.length && Array.prototype.every.call(a, (v, i) => v === b[i])

/** States that one can go back to */
export class History {
  constructor(state, limit = 500) { Object.assign(this, { past: [], state, future: [], limit }) }
  push(state) {
    if (same(state, this.state)) return // nothing to undo
    this.past = [...this.past, this.state].slice(-this.limit)
    this.state = state
    this.future = []
  }
  undo() { if (this.past.length) { this.future.push(this.state); this.state = this.past.pop() } return this.state }
  redo() { if (this.future.length) { this.past.push(this.state); this.state = this.future.pop() } return this.state }
}

/** Does one thing at a time, and of those that come meanwhile only the last; gives a promise of the end of all */
export function latest(work) {
  let waiting = null, busy = null
  return thing => {
    waiting = { thing }
    return busy ??= (async () => {
      try {
        while (waiting) {
          const { thing } = waiting
          waiting = null
          await work(thing)
        }
      } finally { busy = null }
    })()
  }
}

// -- sampling, as nbs/10_prior.ipynb does it -------------------------------------------------------------------------

/** Uniform numbers in [0, 1) from a seed (mulberry32) */
export function uniform(seed) {
  let a = seed | 0
  return () => {
    a = a + 0x6D2B79F5 | 0
    let t = Math.imul(a ^ a >>> 15, 1 | a)
    t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t
    return ((t ^ t >>> 14) >>> 0) / 4294967296
  }
}

/** Part of the holes that is left at a time from 0 to 1 (MaskGIT's cosine) */
export const fillSchedule = t => Math.cos(t * Math.PI / 2)

/** The first n numbers of the van der Corput sequence */
function vanDerCorput(n, base) {
  return Array.from({ length: n }, (_, i) => {
    let x = 0, left = i + 1, digit = 1 / base
    for (; left; left = Math.floor(left / base), digit /= base) x += digit * (left % base)
    return x
  })
}

/** Places of a grid, spread evenly from the first on */
export function haltonOrder(side) {
  const seen = new Set()
  for (let n = 8 * side * side; seen.size < side * side; n *= 2) {
    const [ys, xs] = [vanDerCorput(n, 2), vanDerCorput(n, 3)]
    seen.clear()
    ys.forEach((y, i) => seen.add(Math.floor(y * side) * side + Math.floor(xs[i] * side)))
  }
  return [...seen]
}

/** [code, log-probability] that a uniform number points at, in row `at` of logits */
export function draw(logits, at, k, u, temperature = 1) {
  const row = logits.subarray(at * k, at * k + k), top = row.reduce((a, b) => Math.max(a, b), -Infinity)
  let sum = 0, cool = 0, code = 0
  for (const v of row) sum += Math.exp(v - top)
  if (temperature < 1e-6) code = row.indexOf(top)
  else {
    for (const v of row) cool += Math.exp((v - top) / temperature)
    for (let line = 0; code < k - 1; code++) if ((line += Math.exp((row[code] - top) / temperature)) > u * cool) break
  }
  return [code, row[code] - top - Math.log(sum)]
}

/** One step of a masked prior: the surest of the drawn codes stay. Of `holes` at the start, a part is left at time t */
export function fillStep(codes, logits, k, { t, holes, noise = 4.5, temperature = 1, random }) {
  const open = [...codes.keys()].filter(p => codes[p] === k), next = codes.slice()
  const drawn = open.map(p => {
    const [code, sure] = draw(logits, p, k, random(p, 0), temperature), u = Math.max(random(p, 1), 1e-9)
    return { p, code, score: sure - noise * (1 - t) * Math.log(-Math.log(u)) }
  })
  const keep = open.length - Math.floor(holes * fillSchedule(t))
  for (const { p, code } of drawn.sort((a, b) => b.score - a.score).slice(0, Math.max(keep, 0))) next[p] = code
  return next
}

/** Fill the holes in so many steps; gives the grid after each. `logitsOf` asks the prior: grid → logits */
export async function* fill(codes, k, logitsOf, { steps = 16, ...options }) {
  const holes = codes.filter(c => c === k).length
  for (let s = 1; s <= steps && holes; s++) {
    codes = fillStep(codes, await logitsOf(codes), k, { ...options, t: s / steps, holes })
    yield codes
  }
}

/** Code after code, as an autoregressive prior dreams; gives the grid after each row. `next`: (code, place) → logits */
export async function* generate(side, k, next, { random, temperature = 1 }) {
  const codes = new Int32Array(side * side).fill(k)
  for (let i = 0, last = k; i < side * side; i++) { // k is also the token to start from
    last = codes[i] = draw(await next(last, i), 0, k, random(), temperature)[0]
    if (i % side === side - 1) yield codes.slice()
  }
}

// -- pictures --------------------------------------------------------------------------------------------------------

const cubic = (x, a = -.5) => (x = Math.abs(x)) < 1 ? ((a + 2) * x - (a + 3)) * x * x + 1
  : x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0

/** Weights of bicubic resampling with antialiasing along one side: [first, weights] for each new place */
function weights(from, to) {
  const scale = from / to, wide = Math.max(scale, 1)
  return Array.from({ length: to }, (_, i) => {
    const centre = (i + .5) * scale, low = Math.max(0, Math.floor(centre - 2 * wide + .5))
    const high = Math.min(from, Math.floor(centre + 2 * wide + .5))
    const w = Array.from({ length: high - low }, (_, j) => cubic((low + j - centre + .5) / wide))
    const sum = w.reduce((a, b) => a + b, 0)
    return [low, w.map(v => v / sum)]
  })
}

/** RGB, three bytes a pixel, to another size, as Pillow's bicubic does it */
export function resize(rgb, width, height, w, h) {
  const pass = (src, stride, step, count, other, otherStep, out, outStep, outOther) => { // one side
    for (let o = 0; o < other; o++)
      count.forEach(([low, ws], i) => {
        for (let c = 0; c < 3; c++) {
          let sum = 0
          for (let j = 0; j < ws.length; j++) sum += ws[j] * src[o * otherStep + (low + j) * step + c]
          out[o * outOther + i * outStep + c] = Math.max(0, Math.min(255, Math.round(sum)))
        }
      })
    return out
  }
  if (w !== width) rgb = pass(rgb, 0, 3, weights(width, w), height, 3 * width, new Uint8Array(3 * w * height), 3, 3 * w)
  if (h !== height) rgb = pass(rgb, 0, 3 * w, weights(height, h), w, 3, new Uint8Array(3 * w * h), 3 * w, 3)
  return rgb
}

const half = x => x % 1 === .5 ? 2 * Math.round(x / 2) : Math.round(x) // to even, as Python rounds

/** RGBA of any shape to RGB of a square, on white: the whole picture is kept, as the commands' fit 'pad' does */
export function toSquare(rgba, width, height, size) {
  const rgb = new Uint8Array(3 * width * height)
  for (let i = 0; i < width * height; i++)
    for (let c = 0; c < 3; c++) {
      const a = rgba[4 * i + 3]
      rgb[3 * i + c] = Math.round((rgba[4 * i + c] * a + 255 * (255 - a)) / 255)
    }
  const longer = Math.max(width, height), [w, h] = [width, height].map(v => Math.max(1, half(v / longer * size)))
  const small = resize(rgb, width, height, w, h), square = new Uint8Array(3 * size * size).fill(255)
  const left = half((size - w) / 2), top = half((size - h) / 2)
  for (let y = 0; y < h; y++) square.set(small.subarray(3 * y * w, 3 * (y + 1) * w), 3 * ((y + top) * size + left))
  return square
}

/** Bytes to what the encoder takes, (3, size, size) in [-1, 1] */
export function toTensor(rgb) {
  const n = rgb.length / 3, x = new Float32Array(3 * n)
  for (let i = 0; i < n; i++) for (let c = 0; c < 3; c++) x[c * n + i] = rgb[3 * i + c] / 127.5 - 1
  return x
}

/** What the decoder gives, (3, size, size), to RGBA; what lies outside of [-1, 1] is clipped */
export function toRGBA(x) {
  const n = x.length / 3, rgba = new Uint8ClampedArray(4 * n).fill(255)
  for (let i = 0; i < n; i++) for (let c = 0; c < 3; c++) rgba[4 * i + c] = Math.round((x[c * n + i] + 1) * 127.5)
  return rgba
}
