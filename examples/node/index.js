const compression = require('compression');
const express = require('express');
const helmet = require('helmet');
const { Pool } = require('pg');
const log = require('pino-http');
const { z } = require('zod');

const app = express();
app.use(log(), helmet(), compression());
app.get('/', (request, response) => response.type('text').send('Hello from Node\n'));

const Guest = z.object({ name: z.string().min(1).max(80) });
app.get('/greet', (request, response) => {
  const guest = Guest.safeParse(request.query);
  if (!guest.success) return response.status(400).json(z.treeifyError(guest.error));
  response.type('text').send(`Hello, ${guest.data.name}\n`);
});

// With a Postgres beside it: DATABASE_URL comes from a databaseRef.
if (process.env.DATABASE_URL) {
  const pool = new Pool({ connectionString: process.env.DATABASE_URL });
  app.get('/now', async (request, response) => response.json((await pool.query('SELECT now()')).rows));
}

// Trackbed says where to listen.
const server = app.listen(process.env.PORT || 8080);

// A new release takes over: answer what is under way, then go.
process.on('SIGTERM', () => server.close(() => process.exit()));
