// build.mjs SOURCE WIT COMPONENT: makes a component of a check in JavaScript.
import { readFile, writeFile } from 'node:fs/promises';
import { componentize } from '@bytecodealliance/componentize-js';

const [source, witPath, output] = process.argv.slice(2);
const { component } = await componentize(await readFile(source, 'utf8'), {
  witPath,
  worldName: 'check-in-javascript',
  // Nothing of WASI that a check doesn't need.
  disableFeatures: ['clocks', 'fetch-event', 'http', 'random', 'stdio'],
});
await writeFile(output, component);
