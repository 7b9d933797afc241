// A grid of codes that one can see and change: no network, no model; it is told what a code looks like
import { brush, colourOf, inkOn, paint, stroke } from './tokens.mjs'

const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }

export class Mosaic {
  /** `on` has functions: change(codes) while a hand moves, done(codes) when it lets go, pick(code), and hover(place,
   *  event), where place is null when there is none */
  constructor(canvas, { side, k, on }) {
    Object.assign(this, { canvas, side, k, on, codes: new Int32Array(side * side) })
    Object.assign(this, { tool: 'paint', code: 0, width: 1, means: null, locked: false })
    this.place = null // under the pointer, or the keys' cursor
    const listen = (name, f) => canvas.addEventListener(name, f)
    listen('pointerdown', e => this.down(e))
    listen('pointermove', e => this.move(e))
    listen('pointerup', e => this.up(e))
    listen('pointercancel', e => this.up(e))
    listen('pointerleave', e => { if (!this.last && this.last !== 0) this.hover(null, e) })
    listen('contextmenu', e => e.preventDefault())
    listen('keydown', e => this.key(e))
    listen('blur', () => this.hover(null))
    new ResizeObserver(() => this.draw()).observe(canvas)
  }

  colour(code) { return this.means ? this.means[code] : colourOf(code) }

  set(codes) { this.codes = codes; this.draw() }

  at(e) {
    const box = this.canvas.getBoundingClientRect(), limit = v => Math.max(0, Math.min(this.side - 1, Math.floor(v)))
    const [row, column] = [(e.clientY - box.y) / box.height, (e.clientX - box.x) / box.width].map(v => limit(v * this.side))
    return row * this.side + column
  }

  use(from, to) { // the tool, on the way between two places
    if (this.tool === 'pick') {
      if (this.codes[to] < this.k) this.on.pick(this.codes[to])
      return
    }
    if (this.locked) return
    const places = stroke(from, to, this.side).flatMap(p => brush(p, this.side, this.width))
    const painted = paint(this.codes, places, this.tool === 'erase' ? this.k : this.code)
    if (painted === this.codes) return
    this.set(painted)
    this.on.change(painted)
  }

  down(e) {
    const at = this.at(e)
    if (e.button === 2 || e.altKey) { // picks, whatever the tool
      if (this.codes[at] < this.k) this.on.pick(this.codes[at])
      return
    }
    if (e.button) return
    this.canvas.setPointerCapture(e.pointerId)
    this.last = at
    this.hover(at, e)
    this.use(at, at)
  }

  move(e) {
    const at = this.at(e)
    this.hover(at, e)
    if (this.last === undefined || this.last === at) return
    this.use(this.last, at)
    this.last = at
  }

  up(e) {
    if (this.last === undefined) return
    this.last = undefined
    if (e.pointerType !== 'mouse') this.hover(null, e)
    if (!this.locked) this.on.done(this.codes)
  }

  key(e) {
    const step = ARROWS[e.key]
    if (e.ctrlKey || e.metaKey || e.altKey || e.shiftKey || !step && e.key !== ' ' && e.key !== 'Enter') return
    e.preventDefault()
    const at = this.place ?? (this.side >> 1) * (this.side + 1)
    if (step) {
      const inside = v => Math.max(0, Math.min(this.side - 1, v))
      this.hover(inside(Math.floor(at / this.side) + step[0]) * this.side + inside(at % this.side + step[1]))
    } else {
      this.hover(at)
      this.use(at, at)
      if (!this.locked) this.on.done(this.codes)
    }
  }

  hover(place, e) {
    this.place = place
    this.draw()
    this.on.hover(place, e)
  }

  /** Everything; `lit` is a code whose places are shown */
  draw(lit = this.lit) {
    this.lit = lit
    const { canvas, side, codes, k } = this, ratio = devicePixelRatio || 1, css = canvas.clientWidth
    const cell = Math.max(1, Math.round(css * ratio / side)), c = canvas.getContext('2d')
    if (canvas.width !== cell * side) canvas.width = canvas.height = cell * side
    c.clearRect(0, 0, canvas.width, canvas.height)
    c.font = `500 ${Math.round(cell * (k > 1000 ? .34 : .4))}px ui-monospace, Menlo, Consolas, monospace`
    Object.assign(c, { textAlign: 'center', textBaseline: 'middle' })
    const digits = cell / ratio >= 17
    codes.forEach((code, p) => {
      const x = p % side * cell, y = Math.floor(p / side) * cell
      if (code === k) return this.hatch(c, x, y, cell)
      const rgb = this.colour(code)
      c.globalAlpha = lit === undefined || lit === code ? 1 : .25
      c.fillStyle = `rgb(${rgb})`
      c.fillRect(x, y, cell, cell)
      if (!digits) return
      c.fillStyle = inkOn(rgb)
      c.globalAlpha *= .72
      c.fillText(code, x + cell / 2, y + cell / 2 + 1)
    })
    c.globalAlpha = 1
    if (this.place === null) return
    const places = this.tool === 'pick' ? [this.place] : brush(this.place, side, this.width)
    const [x, y] = [Math.min(...places.map(p => p % side)), Math.floor(places[0] / side)]
    const [w, h] = [Math.max(...places.map(p => p % side)) - x + 1, Math.floor(places.at(-1) / side) - y + 1]
    for (const [ink, wide, inset] of [['#000', 4, 0], ['#fff', 2, 0]]) {
      Object.assign(c, { strokeStyle: ink, lineWidth: wide * ratio })
      c.strokeRect(x * cell + inset, y * cell + inset, w * cell, h * cell)
    }
  }

  hatch(c, x, y, cell) {
    c.save()
    c.beginPath()
    c.rect(x, y, cell, cell)
    c.clip()
    Object.assign(c, { strokeStyle: getComputedStyle(this.canvas).getPropertyValue('--hole'), lineWidth: cell / 8 })
    c.beginPath()
    for (let d = 0; d <= 2 * cell; d += cell / 2) { c.moveTo(x + d, y); c.lineTo(x + d - cell, y + cell) }
    c.stroke()
    c.restore()
  }
}
