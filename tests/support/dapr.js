// Publishes as an application does that knows nothing of us, with @dapr/dapr of npm over HTTP, and
// prints what came of it.

const { CommunicationProtocolEnum, DaprClient } = require("@dapr/dapr");

async function publish(port) {
  const client = new DaprClient({
    daprHost: "127.0.0.1",
    daprPort: port,
    communicationProtocol: CommunicationProtocolEnum.HTTP,
    logger: { level: "error" },
  });
  const event = { specversion: "1.0", id: "event-1", source: "here", type: "t", data: 1 };
  const answers = [
    await client.pubsub.publish("plantbus", "js/object", { n: 1 }),
    await client.pubsub.publish("plantbus", "js/text", "hi"),
    await client.pubsub.publish("plantbus", "js/bytes", Buffer.from([1, 0])),
    await client.pubsub.publish("plantbus", "js/event", event),
    await client.pubsub.publish("plantbus", "js/raw", "raw", { metadata: { rawPayload: "true" } }),
    await client.pubsub.publish("plantbus", "js/nothing"),
  ];
  const bulk = await client.pubsub.publishBulk("plantbus", "js/bulk", ["one", { two: 2 }]);
  const refused = await client.pubsub.publish("nobody", "x", "hi");
  await client.metadata.set("pid", "7");
  const metadata = await client.metadata.get();
  console.log(
    JSON.stringify({
      healthy: await client.health.isHealthy(),
      id: metadata.id,
      extended: metadata.extended.pid,
      errors: answers.filter((answer) => answer.error).length,
      failed: bulk.failedMessages.length,
      refused: String(refused.error),
    }),
  );
  await client.stop();
}

publish(process.argv[2]).catch((error) => {
  console.error(error);
  process.exit(1);
});
