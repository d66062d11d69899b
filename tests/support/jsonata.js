// What the reference implementation makes of the rows of src/jsonata/tests/table.txt: prints those
// that it sees in another way. Usage: node jsonata.js TABLE, where the package `jsonata` is found.
const jsonata = require("jsonata");
const lines = require("fs").readFileSync(process.argv[2], "utf8").split("\n");

function shown(value) {
  if (value === undefined || typeof value === "function" || value._jsonata_lambda) return "nothing";
  const hasInfinite = JSON.stringify(value, (_, v) => (typeof v === "number" && !isFinite(v) ? "∞" : v));
  return hasInfinite.includes('"∞"') ? "infinite" : JSON.stringify(value);
}

async function main() {
  let input;
  let rows = 0;
  for (const line of lines) {
    if (line === "" || line.startsWith("//")) continue;
    if (line.startsWith("input ")) {
      input = line.slice(6);
      continue;
    }
    const at = line.indexOf(" => ");
    const [text, wanted] = [line.slice(0, at).trim(), line.slice(at + 4).trim()];
    let found;
    try {
      const value = await jsonata(text).evaluate(JSON.parse(input));
      found = value === null ? "null" : shown(value);
    } catch (error) {
      found = `error ${error.code}`;
    }
    rows += 1;
    if (found !== wanted) console.log(`${text} of ${input}: ${found}, not ${wanted}`);
  }
  console.log(`${rows} rows`);
}

main();
