import Fastify from 'fastify';
import { greeting } from 'greeting';

const app = Fastify();
app.get('/', () => greeting('a pnpm workspace'));

// A new release takes over: answer what is under way, then go.
process.on('SIGTERM', () => app.close());

// Trackbed says where to listen.
await app.listen({ host: '0.0.0.0', port: process.env.PORT || 8080 });
