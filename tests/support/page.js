// Looks at the page as a person does, with a browser that is driven over a pipe: takes pictures in
// light, dark and on a phone, without a script, and with the token. Prints what it saw as JSON.
//
//   node page.js BROWSER URL TOKEN FOLDER

const { spawn } = require("node:child_process");
const { mkdirSync, mkdtempSync, rmSync, writeFileSync } = require("node:fs");
const { tmpdir } = require("node:os");
const { join } = require("node:path");

const [browser, url, token, folder] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });
const home = mkdtempSync(join(tmpdir(), "ilagent-page-"));
const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"];
const child = spawn(browser, [...flags, "--remote-debugging-pipe", `--user-data-dir=${home}`], {
  stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"],
});

const waiting = new Map();
const listeners = [];
let last = 0, rest = "";
child.stdio[4].on("data", (bytes) => {
  const parts = (rest + bytes).split("\0");
  rest = parts.pop();
  for (const message of parts.map((part) => JSON.parse(part))) {
    const answered = waiting.get(message.id);
    waiting.delete(message.id);
    if (message.error) answered?.reject(new Error(JSON.stringify(message.error)));
    else if (answered) answered.resolve(message.result);
    else listeners.forEach((listener) => listener(message.method, message.params));
  }
});

let session;
function call(method, params = {}) {
  const id = ++last;
  child.stdio[3].write(JSON.stringify({ id, method, params, sessionId: session }) + "\0");
  return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
}

async function evaluate(expression) {
  const { result, exceptionDetails } = await call("Runtime.evaluate", { expression, returnByValue: true });
  if (exceptionDetails) throw new Error(JSON.stringify(exceptionDetails));
  return result.value;
}

async function until(what, expression) {
  for (const end = Date.now() + 60000; Date.now() < end; ) {
    // While a page is being left there is nothing to evaluate in.
    if (await evaluate(expression).catch(() => false)) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`not within a minute: ${what}`);
}

async function look(name, { width, dark, script = true }) {
  await call("Emulation.setScriptExecutionDisabled", { value: !script });
  await call("Emulation.setDeviceMetricsOverride", { width, height: 900, deviceScaleFactor: 1, mobile: width < 600 });
  const features = [{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }];
  await call("Emulation.setEmulatedMedia", { features });
  await call("Page.navigate", { url });
  // What is evaluated here runs even where the page's own scripts do not.
  await until(name, `document.readyState === 'complete' && document.querySelector('main') !== null`);
  if (script) await until("the script runs", `document.documentElement.classList.contains('script')`);
  await picture(name);
}

async function picture(name) {
  const { data } = await call("Page.captureScreenshot", { captureBeyondViewport: true });
  writeFileSync(join(folder, `${name}.png`), Buffer.from(data, "base64"));
}

const seen = { complaints: [], questions: [] };

async function run() {
  const { targetId } = await call("Target.createTarget", { url: "about:blank" });
  ({ sessionId: session } = await call("Target.attachToTarget", { targetId, flatten: true }));
  listeners.push((method, params) => {
    if (method === "Log.entryAdded") seen.complaints.push(params.entry.text);
    if (method === "Runtime.exceptionThrown") seen.complaints.push(params.exceptionDetails.text);
    if (method !== "Page.javascriptDialogOpening") return;
    seen.questions.push(params.message);
    call("Page.handleJavaScriptDialog", { accept: true });
  });
  for (const domain of ["Log", "Page", "Runtime"]) await call(`${domain}.enable`);
  const phone = 390;
  await look("no-script", { width: 1100, dark: false, script: false });
  await look("light", { width: 1100, dark: false });
  await look("dark", { width: 1100, dark: true });
  await look("phone", { width: phone, dark: false });
  const scrolls = `document.documentElement.scrollWidth > ${phone}`;
  seen.phone_scrolls_sideways = await evaluate(scrolls);

  await look("before", { width: 1100, dark: false });
  // The page is asked for again without being loaded again.
  await evaluate(`window.mark = 1; document.querySelector('#token').focus()`);
  await until("it is refreshed", `performance.getEntriesByType('resource').length > 1`);
  seen.kept = await evaluate(`window.mark === 1 && document.activeElement.id === 'token'`);
  const show = (text) => evaluate(`document.querySelector('#token').value = ${JSON.stringify(text)};
    document.querySelector('form').requestSubmit()`);
  await show("wrong");
  await until("a wrong token is refused", `document.querySelector('main').dataset.key === 'wrong'`);
  await show(token);
  await until("the token is taken", `document.querySelector('main').dataset.key === 'shown'`);
  await picture("with-token");
  await call("Emulation.setDeviceMetricsOverride", { width: phone, height: 900, deviceScaleFactor: 1, mobile: true });
  await call("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: "dark" }] });
  seen.phone_scrolls_sideways ||= await evaluate(scrolls);
  await picture("with-token-phone-dark");
  seen.injected = await evaluate(`document.querySelectorAll('main img, main script, main b b').length`);
  await evaluate(`document.querySelector('button[data-verb=drop]').click()`);
  await until("it is said what was done", `document.querySelector('#said').textContent !== ''`);
  seen.said = await evaluate(`document.querySelector('#said').textContent`);
  const { nodes } = await call("Accessibility.getFullAXTree");
  seen.roles = [...new Set(nodes.filter((node) => !node.ignored).map((node) => node.role.value))].sort();
  seen.unnamed = nodes.filter((node) => !node.ignored && node.role?.value === "button" && !node.name?.value).length;
}

run()
  .then(() => console.log(JSON.stringify(seen)))
  .catch((error) => {
    console.error(error);
    process.exitCode = 1;
  })
  .finally(() => {
    child.on("exit", () => rmSync(home, { recursive: true, force: true, maxRetries: 5 }));
    session = undefined;
    call("Browser.close").catch(() => child.kill());
  });
