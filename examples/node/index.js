const express = require('express');

const app = express();
app.get('/', (request, response) => response.type('text').send('Hello from Node\n'));

// Trackbed says where to listen.
const server = app.listen(process.env.PORT || 8080);

// A new release takes over: answer what is under way, then go.
process.on('SIGTERM', () => server.close());
