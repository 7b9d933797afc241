// The widget `paint` of nbs/14_explore.ipynb: an easel in a notebook, where Python encodes, decodes and fills. The page
// says what is wanted, one message at a time; `_shown` says what Python made of it: codes, their picture, whose message
// it answers, and whether that is done.
import { Easel } from '../easel.mjs'
import { latest } from '../tokens.mjs'

const LOOKS = `
<div class="stage">
  <figure class="board">
    <canvas class="mosaic" tabindex="0" role="application"
      aria-label="Mosaic of codes. Arrow keys move, space uses the tool"></canvas>
  </figure>
  <figure class="paints">
    <canvas class="picture" role="img" aria-label="What the codes paint"></canvas>
    <figcaption class="speed">what the codes paint</figcaption>
  </figure>
  <figure class="was" hidden>
    <canvas class="given" role="img" aria-label="The picture as it was given"></canvas>
    <figcaption>as given</figcaption>
  </figure>
  <p class="seen"><i hidden></i><span class="hint">A click of the right button picks a code. Move over the palette to see
    where a code is.</span><span class="info" aria-live="polite">&nbsp;</span></p>
</div>
<div class="tools">
  <div class="group" role="radiogroup" aria-label="Tool">
    <label><input type="radio" value="paint" data-key="b" checked><span>Paint <kbd>B</kbd></span></label>
    <label><input type="radio" value="pick" data-key="p"><span>Pick <kbd>P</kbd></span></label>
    <label class="eraser"><input type="radio" value="erase" data-key="e"><span>Erase <kbd>E</kbd></span></label>
  </div>
  <label class="brush">Brush
    <input type="range" class="width" min="1" max="4" value="1" aria-label="Width of the brush"></label>
  <div class="group">
    <button type="button" class="undo" disabled>Undo <kbd>Z</kbd></button>
    <button type="button" class="redo" disabled>Redo <kbd>Y</kbd></button>
  </div>
  <button type="button" class="fill strong" disabled>Fill the holes <kbd>F</kbd></button>
  <label class="switch"><input type="checkbox" class="mean"> colours as they paint</label>
</div>
<div class="palette" role="listbox" aria-label="Codes, the most used first" tabindex="0"></div>
<p class="said" role="alert" hidden></p>`

const WAIT = 4000 // milliseconds
const SILENT = 'Python has not answered yet: it is busy with a cell, or gone.'

class View {
  constructor(model, el) {
    this.model = model
    this.me = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}`
    this.asked = 0 // messages so far
    this.turn = Promise.resolve() // one message at a time
    this.faces = new Map() // number → PNG of a picture that was given
    this.faceOf = new WeakMap() // state → number of the picture that it began with
    this.root = Object.assign(document.createElement('div'), { className: 'easel painter', innerHTML: LOOKS })
    el.append(this.root)
    const part = name => this.root.querySelector(`.${name}`), tools = [...this.root.querySelectorAll('[type=radio]')]
    const about = model.get('_about')
    for (const t of tools) t.name = `tool-${this.me}` // each view's own
    if (!about.fills) for (const e of [part('eraser'), part('fill'), tools.pop()]) e.remove()
    const parts = (...names) => Object.fromEntries(names.map(n => [n, part(n)]))
    this.part = parts('picture', 'given', 'was', 'speed', 'fill', 'said', 'hint', 'seen')
    this.easel = new Easel({
      ...parts('mosaic', 'palette', 'info', 'undo', 'redo', 'mean'), brush: part('width'), tools,
      pictures: [part('picture'), part('given')],
    }, { side: about.side, k: about.k, on: {
      change: codes => this.show(codes, true),
      done: codes => this.settle(this.push(codes)),
      settle: codes => this.settle(codes),
      hover: code => this.seen(code),
    } })
    this.send = latest(([codes, held]) => { // a hand is faster than a decoder: only its last word is sent
      this.sent = codes
      return this.ask({ do: 'paint', codes: [...codes], held })
    })
    this.wire()
    this.ready = this.open(about)
  }

  wire() {
    const { root, model, part } = this, more = { f: () => part.fill?.click() }
    if (part.fill) part.fill.onclick = () => this.fill()
    this.keys = e => { // JupyterLab looks at this attribute before it looks whether a key is one of its own
      if (!e.composedPath().includes(root)) return
      const command = e.altKey || (e.ctrlKey || e.metaKey) && !'zy'.includes(e.key.toLowerCase())
      const leave = command || e.key === 'Escape' || e.key === 'Enter' && e.shiftKey
      root.toggleAttribute('data-lm-suppress-shortcuts', !leave)
    }
    addEventListener('keydown', this.keys, true)
    root.addEventListener('keydown', e => {
      this.easel.shortcut(e, more)
      if (root.hasAttribute('data-lm-suppress-shortcuts')) e.stopPropagation()
    })
    root.addEventListener('contextmenu', e => { if (e.target.matches('.mosaic')) e.stopPropagation() })
    this.heard = () => this.hear(model.get('_shown'))
    this.gave = () => {
      const { n, png } = model.get('_given')
      this.faces.set(n, png)
    }
    this.gave()
    model.on('change:_shown', this.heard)
    model.on('change:_given', this.gave)
  }

  remove() {
    removeEventListener('keydown', this.keys, true)
    this.model.off('change:_shown', this.heard)
    this.model.off('change:_given', this.gave)
    if (this.easel.sheet) URL.revokeObjectURL(this.easel.sheet.url)
  }

  async open(about) {
    await this.easel.readSheet(new Blob([about.sheet], { type: 'image/png' }), about.columns)
    const shown = this.model.get('_shown')
    this.take(shown)
    this.easel.history.past = [] // there is nothing before the first
    this.easel.lock(false)
    await this.draw('picture', shown.png)
  }

  // -- what the page wants

  /** Codes at once, and their picture as soon as Python has decoded it; `held` while a stroke goes on */
  show(codes, held = false) {
    this.wanted = codes
    this.easel.mosaic.set(codes)
    return this.send([codes, held])
  }

  /** A state that undo comes back to */
  push(codes) {
    const { history } = this.easel
    history.push(codes)
    this.faceOf.set(history.state, this.face)
    return history.state
  }

  settle(codes) {
    const face = this.faceOf.get(codes) ?? 0
    if (face !== this.face) {
      this.showGiven(face)
      this.easel.sortPalette(codes)
    }
    this.after(codes)
    return this.show(codes)
  }

  after(codes) { // a state is reached
    this.easel.count(codes)
    this.easel.lock(!!this.filling)
    if (this.part.fill) this.part.fill.disabled = this.filling || !codes.includes(this.easel.k)
  }

  async fill() {
    if (this.filling) return
    this.filling = true
    this.after(this.easel.history.state)
    await this.ask({ do: 'fill', codes: [...this.easel.history.state] })
    this.filling = false
    this.after(this.easel.history.state)
  }

  /** Send when nothing else is asked, and wait for the answer */
  ask(message) {
    return this.turn = this.turn.then(() => new Promise(done => {
      const start = performance.now(), timer = setTimeout(() => this.say(SILENT), WAIT)
      this.answered = step => {
        clearTimeout(timer)
        this.answered = null
        this.part.speed.textContent = step || `painted in ${Math.round(performance.now() - start)} ms`
        done()
      }
      this.model.send({ given: this.face, ...message, view: this.me, id: ++this.asked })
    })).catch(e => this.say(e.message)) // of a kernel that is gone
  }

  // -- what Python says

  async hear(shown) {
    await this.ready
    const mine = shown.view === this.me && shown.id === this.asked, painting = this.easel.mosaic.last !== undefined
    if (shown.step) this.part.speed.textContent = shown.step
    if (mine || !shown.view) this.say(shown.wrong)
    if (!painting && this.wanted === this.sent) this.take(shown) // else this hand is ahead of Python
    if (mine && shown.done) this.answered?.(shown.step)
    await this.draw('picture', shown.png)
  }

  /** Codes of Python, of another view, or of a step of filling; what is not done, or held, is nothing to go back to */
  take({ codes, view, done, given, held }) {
    const grid = Int32Array.from(codes), { mosaic } = this.easel, other = given !== this.face
    if (!done || held) return mosaic.set(grid)
    if (other) this.showGiven(given)
    const state = this.push(grid)
    if (other || !view && !this.answered) this.easel.sortPalette(state) // nobody painted these here
    mosaic.set(state)
    this.after(state)
  }

  showGiven(n) {
    this.face = n
    const png = this.faces.get(n)
    this.part.was.hidden = !png?.byteLength
    this.draw('given', png)
  }

  /** PNG to canvas; of two that come together, the later stays */
  async draw(name, png) {
    if (!png?.byteLength) return
    const n = this[`drawn-${name}`] = (this[`drawn-${name}`] ?? 0) + 1, canvas = this.part[name]
    const image = await createImageBitmap(new Blob([png], { type: 'image/png' }))
    if (n !== this[`drawn-${name}`]) return
    Object.assign(canvas, { width: image.width, height: image.height })
    canvas.getContext('2d').drawImage(image, 0, 0)
  }

  say(text = '') {
    Object.assign(this.part.said, { textContent: text, hidden: !text })
  }

  /** What the code under the hand draws */
  seen(code) {
    const patch = this.part.seen.firstElementChild
    patch.hidden = code === this.easel.k
    this.part.hint.hidden = !patch.hidden
    if (!patch.hidden) this.easel.showPatch(patch, code)
  }
}

export default { render({ model, el }) {
  const view = new View(model, el)
  el.painter = view // for whoever looks behind the widget, and for its test
  return () => view.remove()
} }
