// The page: hands, files and the address on one side, codes and networks on the other
import { Easel } from './easel.mjs'
import { Networks } from './networks.mjs'
import * as T from './tokens.mjs'

const $ = id => document.getElementById(id)
const page = await (await fetch(new URL('page.json', import.meta.url))).json()
const { size, side, k } = page, net = new Networks(page), order = T.haltonOrder(side)
const originals = new WeakMap() // state → [the picture that it began with, its number among the faces]
const now = { given: null, index: -1, other: null, from: null, busy: false, painted: null }

const parts = ['mosaic', 'palette', 'info', 'undo', 'redo', 'brush', 'mean'].map(id => [id, $(id)])
const easel = new Easel({ ...Object.fromEntries(parts),
  tools: [...document.querySelectorAll('[name=tool]')], pictures: [$('original'), $('picture')],
}, { side, k, on: {
  change: codes => show(codes),
  done: codes => commit(codes),
  settle: codes => settled(codes),
  hover: (code, e) => tip(code, e),
} })
const { mosaic, history } = easel, empty = history.state

// -- what is said ----------------------------------------------------------------------------------------------------

const number = n => n.toLocaleString('en-US')
const amount = n => n < 1e6 ? `${number(Math.round(n / 1e3))} KB` : `${(n / 1e6).toFixed(1)} MB`

function say(text = '') {
  $('message').hidden = !text
  $('message').textContent = text
}

/** Do something that takes its time; a failure is one line on the page */
async function work(what, f) {
  if (now.busy) return
  now.busy = true
  $('speed').textContent = what
  document.querySelector('main').setAttribute('aria-busy', 'true')
  buttons()
  try { return await f() } catch (e) {
    say(e.message)
    pressed(now.index)
    show(history.state).catch(() => {}) // a dream that failed leaves no holes behind
  } finally {
    now.busy = false
    if (net.decoded) $('speed').textContent = `painted in ${Math.round(net.decoded)} ms${net.where}`
    document.querySelector('main').setAttribute('aria-busy', 'false')
    buttons()
  }
}

function buttons() {
  easel.lock(now.busy)
  const holes = history.state.includes(k)
  $('fill').disabled = now.busy || !holes
  $('mix').disabled = now.busy || !now.other
  for (const b of $('dream').querySelectorAll('button, select')) b.disabled = now.busy
}

// -- codes and pictures ----------------------------------------------------------------------------------------------

const decode = T.latest(drawPicture)

/** Show codes at once, and their picture as soon as it is decoded; of many that come, the last one counts */
function show(codes) {
  mosaic.set(codes)
  return decode(codes)
}

async function drawPicture(codes) {
  const start = performance.now(), x = await net.decode(T.withoutHoles(codes, k)), ms = performance.now() - start
  now.painted = x
  const c = $('picture').getContext('2d')
  c.putImageData(new ImageData(T.toRGBA(x), size, size), 0, 0)
  const cell = size / side
  codes.forEach((code, p) => {
    if (code !== k) return
    const [left, top] = [p % side * cell, Math.floor(p / side) * cell]
    c.fillStyle = '#8888'
    c.fillRect(left, top, cell, cell)
    c.clearRect(left + cell / 4, top + cell / 4, cell / 2, cell / 2)
  })
  const first = !net.started // the first one waits for what is fetched
  Object.assign(net, first ? { started: true } : { decoded: ms })
  if (!now.busy && !first) $('speed').textContent = `painted in ${Math.round(ms)} ms${net.where}`
  if (!first && ms > 500 && !net.tried) { // worth a larger download, where there is a GPU
    net.tried = true
    net.useGPU(T.withoutHoles(codes, k)).catch(() => false)
  }
}

/** A state that undo comes back to */
async function commit(codes) {
  history.push(codes)
  originals.set(history.state, [now.given, now.index])
  await settled(history.state)
}

async function settled(codes) {
  say()
  const [given, index] = originals.get(codes) ?? [null, -1]
  if (given !== now.given || index !== now.index) showGiven(given, index)
  const painted = show(codes)
  if (now.mixing !== codes) endMix()
  window.history.replaceState(null, '', '#' + T.toHash(codes, page))
  $('wrong').textContent = ''
  const text = $('text')
  if (document.activeElement !== text) Object.assign(text, { value: T.toText(codes, side, k), scrollTop: 0, scrollLeft: 0 })
  easel.count(codes)
  buttons()
  await painted
  await weigh()
}

/** Another face altogether: its codes, and the picture that they were made of, if there is one */
async function begin(codes, given = null, index = -1) {
  showGiven(given, index)
  easel.sortPalette(codes)
  await commit(codes)
}

function showGiven(given, index) {
  Object.assign(now, { given, index })
  pressed(index)
  $('given').hidden = !given
  document.querySelector('.stage').classList.toggle('alone', !given)
  if (given) {
    const rgba = T.toRGBA(T.toTensor(given))
    $('original').getContext('2d').putImageData(new ImageData(rgba, size, size), 0, 0)
  }
}

const pressed = index => [...$('faces').children].forEach((b, i) => b.setAttribute('aria-pressed', i === index))

// -- faces -----------------------------------------------------------------------------------------------------------

async function pixels(source) { // RGB of a square, and how the file was
  const image = await createImageBitmap(source).catch(() => null)
  if (!image) throw Error('that is no picture that this browser can read')
  const scale = Math.min(1, 4096 / Math.max(image.width, image.height)) // a browser has no larger canvas everywhere
  const [w, h] = [Math.max(1, Math.round(image.width * scale)), Math.max(1, Math.round(image.height * scale))]
  const canvas = Object.assign(document.createElement('canvas'), { width: w, height: h })
  const c = canvas.getContext('2d', { willReadFrequently: true })
  c.drawImage(image, 0, 0, w, h)
  return T.toSquare(c.getImageData(0, 0, w, h).data, w, h, size)
}

const take = blob => work('reading the face …', async () => {
  say()
  const rgb = await pixels(blob)
  pressed(-1)
  await begin(await net.encode(T.toTensor(rgb)), rgb)
})

async function takeFace(index) {
  await work('painting …', async () => {
    say()
    pressed(index)
    const face = page.faces[index], rgb = await pixels(await (await fetch(new URL(face.file, import.meta.url))).blob())
    await begin(Int32Array.from(face.codes), rgb, index)
  })
}

function faceButton(face, f, role) {
  const b = document.createElement('button'), image = document.createElement('img')
  Object.assign(b, { type: 'button', className: 'face', title: face.style ?? face.file, onclick: f })
  Object.assign(image, { src: new URL(face.file, import.meta.url).href, alt: face.style ?? 'a face' })
  if (role) b.setAttribute('role', role)
  b.append(image)
  return b
}

// -- the prior -------------------------------------------------------------------------------------------------------

const chosenLabel = () => page.prior.classes ? +$('label').value : 0
const seed = () => crypto.getRandomValues(new Uint32Array(1))[0]

/** Let the masked prior fill what is open, each step to be seen */
async function fillHoles(start, options = {}) {
  const random = options.random ?? T.uniform(options.seed ?? seed()), id = options.label ?? chosenLabel()
  const steps = options.steps ?? Math.min(16, Math.max(4, Math.ceil(start.filter(c => c === k).length / 8)))
  const logits = async codes => {
    options.step?.()
    return net.logits(codes, id)
  }
  let codes = start, step = 0
  for await (codes of T.fill(start, k, logits, { steps, random })) {
    $('speed').textContent = `step ${++step} of ${steps}`
    await show(codes)
    await new Promise(requestAnimationFrame)
  }
  return codes
}

const dream = (options = {}) => work('fetching the prior …', async () => {
  say()
  pressed(-1)
  let codes = empty
  mosaic.set(codes)
  if (page.prior.kind === 'MaskedPrior') codes = await fillHoles(empty, { steps: 16, ...options })
  else {
    const random = options.random ?? T.uniform(options.seed ?? seed()), next = net.next(options.label ?? chosenLabel())
    for await (codes of T.generate(side, k, next, { random })) {
      $('speed').textContent = `${side * side - codes.filter(c => c === k).length} of ${side * side} codes`
      await show(codes)
      await new Promise(requestAnimationFrame)
    }
  }
  await begin(codes)
})

const fillNow = (options = {}) =>
  work('fetching the prior …', async () => commit(await fillHoles(history.state, options)))

// -- what is under the hand ------------------------------------------------------------------------------------------

/** What a code draws, beside the mouse */
function tip(code, e) {
  const host = $('tip')
  host.hidden = code === k || e?.pointerType !== 'mouse'
  if (host.hidden) return
  easel.showPatch(host.firstChild, code)
  host.lastChild.textContent = `code ${code}\npaints this\nused ${easel.counts[code]}×`
  const [w, h] = [host.offsetWidth, host.offsetHeight]
  host.style.left = `${Math.min(e.clientX + 18, innerWidth - w - 8)}px`
  host.style.top = `${e.clientY + 18 + h > innerHeight ? e.clientY - h - 18 : e.clientY + 18}px`
}

// -- mixing ----------------------------------------------------------------------------------------------------------

function takeOther(index) {
  for (const [i, b] of [...$('others').children].entries()) b.setAttribute('aria-checked', i === index)
  Object.assign(now, { other: Int32Array.from(page.faces[index].codes), from: history.state })
  $('mix').value = 0
  buttons()
}

function mixed() {
  now.from ??= history.state
  return now.mixing = T.mix(T.withoutHoles(now.from, k), now.other, $('mix').value / 100, order)
}

function endMix() { // painted on, or another face: the slider begins anew
  now.from = null
  $('mix').value = 0
}

// -- bits ------------------------------------------------------------------------------------------------------------

const fileSize = (canvas, type, quality) => new Promise(done => canvas.toBlob(b => done(b.size), type, quality))

async function weigh() {
  const canvas = now.given ? $('original') : $('picture'), bits = T.countBits(side * side, k)
  if (!now.painted) return
  const rows = [[`${side * side} codes`, Math.ceil(bits / 8)], ['JPEG', await fileSize(canvas, 'image/jpeg', .75)],
    ['PNG', await fileSize(canvas, 'image/png')], ['pixels', 3 * size * size]]
  const most = Math.max(...rows.map(r => r[1]))
  $('bits').tBodies[0].replaceChildren(...rows.map(([name, bytes]) => {
    const row = document.createElement('tr')
    row.innerHTML = `<th scope="row">${name}</th><td><i style="width:${100 * bytes / most}%"></i></td>` +
      `<td>${number(bytes)} bytes</td>`
    return row
  }))
  const each = +Math.log2(k).toFixed(2), what = now.given ? 'the picture as given' : 'what the codes paint'
  $('about-bits').textContent = `${side}×${side} codes of ${each} bits are ${number(Math.ceil(bits))} bits. JPEG at ` +
    `quality 75 and PNG are of ${what}, at ${size}×${size} pixels.`
}

// -- hands -----------------------------------------------------------------------------------------------------------

function wire() {
  $('file').onchange = e => { if (e.target.files[0]) take(e.target.files[0]); e.target.value = '' }
  addEventListener('dragover', e => { e.preventDefault(); document.body.classList.add('over') })
  addEventListener('dragleave', e => { if (!e.relatedTarget) document.body.classList.remove('over') })
  addEventListener('drop', e => {
    e.preventDefault()
    document.body.classList.remove('over')
    const file = e.dataTransfer.files[0]
    if (file) take(file)
  })
  addEventListener('paste', e => {
    const file = [...e.clipboardData.files].find(f => f.type.startsWith('image/'))
    if (file) take(file)
  })
  addEventListener('hashchange', () => openAddress())
  $('dream').onsubmit = e => { e.preventDefault(); dream() }
  $('fill').onclick = () => fillNow()
  $('mix').oninput = () => show(mixed())
  $('mix').onchange = () => commit(mixed())
  wireText()
  const more = { f: () => $('fill').hidden || $('fill').click(), d: () => $('dream').hidden || dream() }
  document.addEventListener('keydown', e => easel.shortcut(e, more))
}

function wireText() {
  $('text').oninput = () => {
    if (now.busy) return
    try { commit(T.fromText($('text').value, side, k)) } catch (e) { $('wrong').textContent = e.message }
  }
  $('text').onblur = () => { if (!$('wrong').textContent) $('text').value = T.toText(history.state, side, k) }
  const copy = (button, text) => async () => {
    const was = button.textContent
    const done = await navigator.clipboard.writeText(text()).then(() => true, () => false)
    button.textContent = done ? 'Copied' : 'Not allowed here'
    setTimeout(() => { button.textContent = was }, 1500)
  }
  $('copy').onclick = copy($('copy'), () => T.toText(history.state, side, k))
  $('share').onclick = copy($('share'), () => location.href)
}

async function openAddress() {
  try {
    const codes = T.fromHash(location.hash, page)
    if (!codes || codes.every((c, i) => c === history.state[i])) return false
    pressed(-1)
    await work('painting …', () => begin(codes))
    return true
  } catch (e) {
    say(e.message)
    return false
  }
}

// -- the start -------------------------------------------------------------------------------------------------------

function fillIn() {
  const words = { count: number(side * side), grid: `${side} × ${side}`, k: number(k) }
  for (const e of document.querySelectorAll('[data-say]')) e.textContent = words[e.dataset.say]
  for (const id of ['picture', 'original']) Object.assign($(id), { width: size, height: size })
  $('faces').replaceChildren(...page.faces.map((face, i) => faceButton(face, () => takeFace(i))))
  $('others').replaceChildren(...page.faces.map((face, i) => faceButton(face, () => takeOther(i), 'radio')))
  if (page.prior) {
    $('dream').hidden = false
    $('fill').hidden = $('fillable').hidden = page.prior.kind !== 'MaskedPrior'
    const { classes, names } = page.prior
    $('label').hidden = !classes
    $('label').replaceChildren(...[...Array(classes + 1).keys()].map(i => // the one after the last stands for any
      new Option(i === classes ? 'any style' : names[i] ?? `class ${i}`, i, i === classes, i === classes)))
  }
  const s = page.sizes, more = s.prior ? `, and the prior ${amount(s.prior.gzip)} when you dream` : ''
  $('about').textContent = `Model “${page.name}” (${page.tokenizer}), ${size}×${size} pixels, ${number(k)} codes; made ` +
    `by anime_vq_nb ${page.version}. The first view takes ${amount(s.first.gzip)} where a server compresses ` +
    `(${amount(s.first.bytes)} where it does not), the encoder ${amount(s.encoder.gzip)} more when you drop a face${more}. Runs by onnxruntime-web ${page.ort} (MIT).`
  $('credits').textContent = page.credits
}

async function start() {
  fillIn()
  wire()
  const sheet = await fetch(new URL('codes.png', import.meta.url))
  await easel.readSheet(await sheet.blob(), page.patches.columns)
  if (!await openAddress()) {
    const wrong = $('message').textContent
    await takeFace(0)
    if (wrong) say(wrong)
  }
  history.past = [] // there is nothing before the first face
  buttons()
  if (history.state !== empty) await show(history.state) // once more, to know how long it takes
}

export const app = { page, net, mosaic, history, now, take, takeFace, dream, fill: fillNow, commit, start,
  tool: name => easel.tool(name), choose: code => easel.choose(code) }
globalThis.app = app // for whoever looks behind the page, and for its test
app.ready = start()
