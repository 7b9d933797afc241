// The model's networks on this machine, by onnxruntime-web: each is fetched when it is first needed

const int64 = (values, dims, ort) => new ort.Tensor('int64', BigInt64Array.from(values, BigInt), dims)

export class Networks {
  constructor(page, base = new URL('.', import.meta.url)) {
    Object.assign(this, { page, base, sessions: {}, queue: Promise.resolve(), where: '' })
  }

  async runtime(bundle = 'ort.wasm.bundle.min.mjs') {
    const ort = await import(new URL(`ort/${bundle}`, this.base))
    ort.env.wasm.numThreads = 1 // more would need headers that a plain server does not send
    ort.env.logLevel = 'error'
    return ort
  }

  session(name) { // promise of one
    return this.sessions[name] ??= this.open(name).catch(e => {
      delete this.sessions[name] // so that it is fetched again when it is needed again
      throw e
    })
  }

  async open(name) {
    this.loading ??= this.runtime().catch(e => {
      this.loading = null
      throw e
    })
    this.ort = await this.loading
    return this.ort.InferenceSession.create(new URL(`${name}.onnx`, this.base).href, { executionProviders: ['wasm'] })
  }

  /** One after the other: outputs by name */
  run(name, feeds) {
    const result = this.queue.then(async () => {
      const session = await this.session(name)
      return session.run(feeds(this.ort))
    })
    this.queue = result.catch(() => {})
    return result
  }

  /** (3, size, size) in [-1, 1] → codes */
  async encode(picture) {
    const { size } = this.page
    const out = await this.run('encoder', ort => ({ picture: new ort.Tensor('float32', picture, [1, 3, size, size]) }))
    return Int32Array.from(out.codes.data, Number)
  }

  /** Codes → (3, size, size) in [-1, 1] */
  async decode(codes) {
    const { side } = this.page
    if (this.fast) return (await this.fast(codes)).picture.data
    return (await this.run('decoder', ort => ({ codes: int64(codes, [1, side, side], ort) }))).picture.data
  }

  label(id, ort) { return this.page.prior.classes ? { label: int64([id], [1], ort) } : {} }

  /** Of a masked prior: grid with holes → logits of every place */
  async logits(codes, id) {
    const feeds = ort => ({ codes: int64(codes, [1, codes.length], ort), ...this.label(id, ort) })
    return (await this.run('prior', feeds)).logits.data
  }

  /** Of an autoregressive prior: a function (code, place) → logits of the next */
  next(id) {
    let kept
    return async (code, place) => {
      const { cache } = this.page.prior, n = cache.reduce((a, b) => a * b, 1)
      const out = await this.run('prior', ort => ({
        code: int64([code], [1, 1], ort), place: int64([place], [1], ort),
        cache: kept ??= new ort.Tensor('float32', new Float32Array(n), cache), ...this.label(id, ort) }))
      kept = out.kept
      return out.logits.data
    }
  }

  /** Decode on the GPU, where there is one and it gives the same picture; fetches more, so only when it is worth it */
  async useGPU(codes) {
    if (!this.page.webgpu || !await navigator.gpu?.requestAdapter().catch(() => null)) return false
    const { side } = this.page, want = await this.decode(codes), ort = await this.runtime('ort.webgpu.bundle.min.mjs')
    const file = new URL('decoder.onnx', this.base).href
    const session = await ort.InferenceSession.create(file, { executionProviders: ['webgpu'] })
    const fast = codes => session.run({ codes: int64(codes, [1, side, side], ort) })
    const got = (await fast(codes)).picture.data
    if (!got.every((v, i) => Math.abs(v - want[i]) < .02)) return false
    Object.assign(this, { fast, where: ' on the GPU' })
    return true
  }
}
