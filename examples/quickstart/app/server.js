// Keeps a row for each visit in Postgres and a counter of them in Redis.
const http = require("node:http");
const { Pool } = require("pg");
const { createClient } = require("redis");

const GREETING = "Hello from Trackbed";

const pool = new Pool({ connectionString: process.env.DATABASE_URL, max: 4 });
const redis = createClient({ url: process.env.REDIS_URL });
// Both reconnect by themselves; a request that comes meanwhile gets an error.
pool.on("error", (error) => console.error("postgres:", error.message));
redis.on("error", (error) => console.error("redis:", error.message));

async function visit(path) {
  const counter = await redis.incr("visits");
  await pool.query("insert into visits (path) values ($1)", [path]);
  const { rows } = await pool.query("select count(*)::int as total from visits");
  const last = await pool.query("select id, path, at from visits order by id desc limit 5");
  return { message: GREETING, counter, rows: rows[0].total, last: last.rows };
}

const server = http.createServer(async (request, response) => {
  const answer = (status, body) => {
    response.writeHead(status, { "content-type": "application/json" });
    response.end(JSON.stringify(body, null, 2) + "\n");
  };
  try {
    if (request.url === "/healthz") return answer(200, { well: true });
    answer(200, await visit(request.url));
  } catch (error) {
    console.error(error.message);
    answer(503, { error: "a database does not answer" });
  }
});

async function start() {
  await redis.connect();
  // Pods that start at the same time must not create the table at the same time.
  await pool.query(`
    begin;
    select pg_advisory_xact_lock(1);
    create table if not exists visits
      (id bigserial primary key, path text not null, at timestamptz not null default now());
    commit`);
  const port = Number(process.env.PORT ?? 8080);
  server.listen(port, () => console.log(`listens on ${port}`));
}

process.on("SIGTERM", () => server.close(() => process.exit(0)));
start().catch((error) => {
  console.error("cannot start:", error.message);
  process.exit(1);
});
