import compress from '@fastify/compress';
import helmet from '@fastify/helmet';
import postgres from '@fastify/postgres';
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import Fastify from 'fastify';
import { greeting } from 'greeting';

const app = Fastify({ logger: true });
await app.register(helmet);
await app.register(compress);
// What the API is, for people: /documentation.
await app.register(swagger);
await app.register(swaggerUi);

app.get('/', () => greeting('a pnpm workspace'));

// With a Postgres beside it: DATABASE_URL comes from a databaseRef.
if (process.env.DATABASE_URL) {
  await app.register(postgres, { connectionString: process.env.DATABASE_URL });
  app.get('/now', async () => (await app.pg.query('SELECT now()')).rows);
}

// A new release takes over: answer what is under way, then go.
process.on('SIGTERM', () => app.close());

// Trackbed says where to listen.
await app.listen({ host: '0.0.0.0', port: process.env.PORT || 8080 });
