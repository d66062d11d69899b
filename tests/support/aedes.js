// A broker that is not mosquitto: aedes, on a plain port and in a WebSocket at /mqtt.
//
//   NODE_PATH=…/node_modules node aedes.js PORT WEB_PORT

'use strict';

const http = require('http');
const net = require('net');
const Aedes = require('aedes');
const { WebSocketServer, createWebSocketStream } = require('ws');

const [port, webPort] = process.argv.slice(2).map(Number);
const aedes = new Aedes();
net.createServer(aedes.handle).listen(port, '127.0.0.1');

const web = http.createServer();
const handleProtocols = (offered) => (offered.has('mqtt') ? 'mqtt' : false);
const sockets = new WebSocketServer({ server: web, path: '/mqtt', handleProtocols });
sockets.on('connection', (socket, request) => {
  const stream = createWebSocketStream(socket);
  stream.on('error', () => {}); // A client that is gone.
  aedes.handle(stream, request);
});
web.listen(webPort, '127.0.0.1');
