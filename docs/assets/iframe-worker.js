// Browsers refuse workers in pages opened from disk. There, the worker of the search runs in a hidden frame instead.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      this.onmessage = null
      const owner = this
      const frame = document.createElement("iframe")
      frame.hidden = true
      this.ready = new Promise((resolve) => {
        frame.onload = () => {
          const inner = frame.contentWindow
          inner.postMessage = (data) => owner.receive(data)
          inner.importScripts = (...urls) =>
            urls.reduce((done, each) => done.then(() => load(frame.contentDocument, each)), Promise.resolve())
          load(frame.contentDocument, url).then(() => resolve(inner))
        }
      })
      const load = (page, source) =>
        new Promise((resolve, reject) => {
          const script = page.createElement("script")
          script.src = source
          script.onload = resolve
          script.onerror = () => reject(new Error(`not loaded: ${source}`))
          page.body.append(script)
        })
      document.body.append(frame)
    }

    receive(data) {
      const event = new MessageEvent("message", { data })
      if (this.onmessage) this.onmessage(event)
      this.dispatchEvent(event)
    }

    postMessage(data) {
      this.ready.then((inner) => inner.dispatchEvent(new inner.MessageEvent("message", { data })))
    }

    terminate() {}
  }
}
