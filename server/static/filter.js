// The filter line: words that a run's texts hold, and conditions like learning_rate<=0.001.

const CONDITION = /^(.+?)(<=|>=|!=|<|>|=|:)(.+)$/;
const COMPARE = {
  "<": (a, b) => a < b,
  ">": (a, b) => a > b,
  "<=": (a, b) => a <= b,
  ">=": (a, b) => a >= b,
};

/**
 * Reads a filter. Returns { test(row), problem }: problem says which name is not known.
 * `find(name)` gives a column's reader by its name or null; `texts(row)` all words of a run.
 */
export function readFilter(text, find, texts) {
  const tests = [];
  let problem = "";
  for (const part of text.match(/(?:[^\s"]|"[^"]*")+/g) ?? []) {
    const bare = part.replaceAll('"', "");
    const condition = CONDITION.exec(bare);
    if (!condition) {
      const wanted = bare.toLowerCase();
      tests.push((row) => texts(row).includes(wanted));
      continue;
    }
    const [, name, sign, wanted] = condition;
    const read = find(name);
    if (!read) problem = `No column is called “${name}”: use one of the table's, as ${part.replace(name, "state")}.`;
    else tests.push(buildTest(read, sign, wanted));
  }
  return { test: (row) => tests.every((test) => test(row)), problem };
}

function buildTest(read, sign, wanted) {
  const number = Number(wanted);
  if (sign in COMPARE) return (row) => typeof read(row) === "number" && COMPARE[sign](read(row), number);
  const same = (row) => {
    const value = read(row);
    if (typeof value === "number") return value === number;
    return String(value ?? "").toLowerCase() === wanted.toLowerCase();
  };
  if (sign === ":") return (row) => same(row) || String(read(row) ?? "").toLowerCase().includes(wanted.toLowerCase());
  return sign === "!=" ? (row) => !same(row) : same;
}
