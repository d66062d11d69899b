// An application that uses Dapr's own SDK: it subscribes, publishes, and writes down what it gets,
// one line of JSON for each event. Its arguments are its port and the sidecar's.
'use strict';

const { DaprServer, DaprPubSubStatusEnum } = require('@dapr/dapr');

const [appPort, daprPort] = process.argv.slice(2);
const BUS = 'plantbus';

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const quiet = { service: { error() {}, warn() {}, info() {}, verbose() {}, debug() {} } };

async function main() {
  const server = new DaprServer({
    serverHost: '127.0.0.1',
    serverPort: appPort,
    clientOptions: { daprHost: '127.0.0.1', daprPort, logger: quiet },
    logger: quiet,
  });
  const once = new Set();
  await server.pubsub.subscribeWithOptions(BUS, 'orders', {
    deadLetterTopic: 'orders/dead',
    callback: async (data) => {
      say({ on: 'orders', data });
      if (data.again && !once.has(data.again)) {
        once.add(data.again);
        return DaprPubSubStatusEnum.RETRY;
      }
      return data.unwanted ? DaprPubSubStatusEnum.DROP : DaprPubSubStatusEnum.SUCCESS;
    },
  });
  await server.pubsub.subscribe(BUS, 'orders/dead', async (data) => say({ on: 'dead', data }));
  await server.pubsub.subscribe(BUS, 'press/+/done', async (data, headers) =>
    say({ on: 'done', data, topic: headers['mqtt-topic'] }));
  await server.pubsub.subscribeWithOptions(BUS, 'raw', {
    metadata: { rawPayload: 'true' },
    callback: async (data) => say({ on: 'raw', data }),
  });
  await server.pubsub.subscribeWithOptions(BUS, 'routed', {
    route: { rules: [{ match: 'event.data.n > 5', path: '/big' }], default: '/small' },
  });
  server.pubsub.subscribeToRoute(BUS, 'routed', 'big', async (data) => say({ on: 'big', data }));
  server.pubsub.subscribeToRoute(BUS, 'routed', 'small', async (data) => say({ on: 'small', data }));
  await server.pubsub.subscribeBulk(BUS, 'bulk', async (data, headers) => {
    say({ on: 'bulk', data, topic: headers['Mqtt-Topic'] });
    if (data.again && !once.has(data.again)) {
      once.add(data.again);
      return DaprPubSubStatusEnum.RETRY;
    }
  }, { maxMessagesCount: 3, maxAwaitDurationMs: 50 });
  await server.start();
  say({ on: 'start' });

  // Publishes what it is asked for: a line of JSON on its standard input each.
  const lines = require('readline').createInterface({ input: process.stdin });
  for await (const line of lines) {
    const { topic, data, bulk, options } = JSON.parse(line);
    const answer = bulk
      ? await server.client.pubsub.publishBulk(BUS, topic, bulk)
      : await server.client.pubsub.publish(BUS, topic, data, options);
    say({ on: 'published', failed: answer.failedMessages?.length ?? (answer.error ? 1 : 0) });
  }
}

main().catch((error) => {
  say({ on: 'end', error: String(error) });
  process.exit(1);
});
