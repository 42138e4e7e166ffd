// Stands for a compiler: what is in dist is not in the repository.
import { mkdirSync, writeFileSync } from 'node:fs';

mkdirSync('dist', { recursive: true });
writeFileSync('dist/index.js', 'export const greeting = (from) => `Hello from ${from}\\n`;\n');
