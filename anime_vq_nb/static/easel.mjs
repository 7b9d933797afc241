// Hands on a grid of codes: tools, a palette, what is under the hand, and what was before. It knows neither a model nor a
// network; whoever does is told what was painted.
import { Mosaic } from './mosaic.mjs'
import { colourOf, History, inSheet, meanColours, palette } from './tokens.mjs'

let easels = 0

export class Easel {
  /** `parts` are elements: mosaic, palette, info, undo, redo, brush, mean, tools (radio buttons), and pictures (canvases
   *  on which the place under the hand is shown, too). `on` has functions: change(codes) while a hand moves,
   *  done(codes) when it lets go, settle(codes) after undo and redo, and, if wanted, hover(place, event) */
  constructor(parts, { side, k, on }) {
    Object.assign(this, { parts, side, k, on, name: `easel-${++easels}`, counts: [], sheet: null })
    this.history = new History(new Int32Array(side * side).fill(k))
    this.mosaic = new Mosaic(parts.mosaic, { side, k, on: {
      change: on.change, done: on.done, pick: code => this.choose(code, true),
      hover: (place, e) => this.hover(place, e) } })
    parts.undo.onclick = () => on.settle(this.history.undo())
    parts.redo.onclick = () => on.settle(this.history.redo())
    parts.brush.oninput = e => { this.mosaic.width = +e.target.value }
    parts.mean.onchange = e => { this.mosaic.means = e.target.checked ? this.sheet.means : null; this.mosaic.draw() }
    for (const r of parts.tools) r.onchange = () => this.tool(r.value)
    this.rings = parts.pictures.map(canvas => {
      const ring = Object.assign(document.createElement('div'), { className: 'ring', hidden: true })
      canvas.after(ring)
      return [canvas, ring]
    })
    this.wirePalette()
  }

  /** Take a picture of what each code draws, `columns` in a row */
  async readSheet(blob, columns) {
    const image = await createImageBitmap(blob), url = URL.createObjectURL(blob)
    const canvas = Object.assign(document.createElement('canvas'), { width: image.width, height: image.height })
    const c = canvas.getContext('2d')
    c.drawImage(image, 0, 0)
    const { data } = c.getImageData(0, 0, image.width, image.height)
    this.sheet = { url, columns, means: meanColours(data, image.width, image.width / columns, columns, this.k) }
  }

  /** Show on an element what a code draws, framed in its colour */
  showPatch(element, code) {
    const { url, columns } = this.sheet
    Object.assign(element.style, inSheet(url, code, columns, this.k), { borderColor: `rgb(${colourOf(code)})` })
  }

  /** Nothing can be painted while something is at work */
  lock(busy) {
    const { undo, redo } = this.parts
    this.mosaic.locked = busy
    undo.disabled = busy || !this.history.past.length
    redo.disabled = busy || !this.history.future.length
  }

  // -- the palette

  /** The most used code first; and a code to paint with, where the one that was is not among them */
  sortPalette(codes) {
    const host = this.parts.palette, sorted = palette(codes, this.k)
    host.replaceChildren(...sorted.slice(0, 2048).map(([code]) => {
      const b = document.createElement('div'), patch = document.createElement('i')
      this.showPatch(patch, code)
      Object.assign(b, { className: 'code', id: `${this.name}-${code}` })
      b.dataset.code = code
      b.setAttribute('role', 'option')
      b.append(patch, String(code))
      return b
    }))
    host.scrollTop = 0
    const used = sorted.filter(([, n]) => n).map(([code]) => code)
    if (used.length && !used.includes(this.mosaic.code)) this.choose(sorted[Math.min(1, this.k - 1)][0])
    this.mark()
  }

  count(codes) {
    this.counts = new Array(this.k).fill(0)
    for (const c of codes) if (c < this.k) this.counts[c]++
    for (const b of this.parts.palette.children) {
      const n = this.counts[b.dataset.code]
      b.classList.toggle('none', !n)
      b.title = `code ${b.dataset.code}, used ${n} ${n === 1 ? 'time' : 'times'}`
    }
  }

  mark() {
    const host = this.parts.palette
    for (const b of host.children) b.setAttribute('aria-selected', +b.dataset.code === this.mosaic.code)
    host.setAttribute('aria-activedescendant', `${this.name}-${this.mosaic.code}`)
  }

  choose(code, picked = false) {
    this.mosaic.code = code
    if (picked && this.mosaic.tool !== 'paint') this.tool('paint')
    this.mark()
    if (!picked) return
    this.parts.info.textContent = `code ${code} is chosen`
    const host = this.parts.palette, b = [...host.children].find(b => +b.dataset.code === code)
    if (!b) return
    const [inner, outer] = [b, host].map(e => e.getBoundingClientRect()) // what is around the palette stays where it is
    host.scrollTop += Math.min(0, inner.top - outer.top) + Math.max(0, inner.bottom - outer.bottom)
  }

  wirePalette() {
    const host = this.parts.palette, code = e => e.target.closest('.code')?.dataset.code
    host.onclick = e => {
      if (code(e) === undefined) return
      this.choose(+code(e))
      if (this.mosaic.tool !== 'paint') this.tool('paint')
    }
    host.onpointerover = e => { if (code(e) !== undefined && e.pointerType === 'mouse') this.mosaic.draw(+code(e)) }
    host.onpointerleave = () => { this.mosaic.lit = undefined; this.mosaic.draw() }
    host.onkeydown = e => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[e.key], all = [...host.children]
      if (!step) return
      e.preventDefault()
      const to = all[all.findIndex(b => +b.dataset.code === this.mosaic.code) + step]
      if (to) this.choose(+to.dataset.code, true)
    }
  }

  // -- hands

  tool(name) {
    this.mosaic.tool = name
    for (const r of this.parts.tools) r.checked = r.value === name
    this.mosaic.draw()
  }

  hover(place, e) {
    const code = place === null ? this.k : this.mosaic.codes[place], info = this.parts.info
    this.outline(place)
    if (place === null) info.innerHTML = '&nbsp;'
    else {
      const where = `row ${Math.floor(place / this.side)}, column ${place % this.side}: `
      info.textContent = where + (code === this.k ? 'a hole' : `code ${code}, used ${this.counts[code]}×`)
    }
    this.on.hover?.(code, e)
  }

  /** The place under the hand, in the pictures too */
  outline(place) {
    for (const [canvas, ring] of this.rings) {
      ring.hidden = place === null || !canvas.offsetParent
      if (ring.hidden) continue
      const cell = canvas.offsetWidth / this.side, [row, column] = [Math.floor(place / this.side), place % this.side]
      const [left, top, width, height] = [column * cell, row * cell, cell, cell].map(v => `${v}px`)
      Object.assign(ring.style, { left, top, width, height })
    }
  }

  /** Keys for tools, undo and redo, and `more`: key → function; true where the key was one of them */
  shortcut(e, more = {}) {
    if (e.target.matches('textarea, select, input:not([type=radio], [type=range], [type=checkbox])')) return false
    const control = e.ctrlKey || e.metaKey, key = e.key.toLowerCase(), { undo, redo } = this.parts
    if (e.altKey || control && !'zy'.includes(key)) return false
    const tools = Object.fromEntries(this.parts.tools.map(r => [r.dataset.key, () => this.tool(r.value)]))
    const does = { ...tools, z: () => (e.shiftKey ? redo : undo).click(), y: () => redo.click(), ...more }[key]
    if (!does) return false
    e.preventDefault()
    does()
    return true
  }
}
