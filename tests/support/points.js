// Writes points as programs of npm do that know nothing of us: influx and @influxdata/influxdb-client.

const { InfluxDB: Version1, FieldType } = require("influx");
const { InfluxDB: Version2, Point } = require("@influxdata/influxdb-client");

const port = Number(process.argv[2]);
const time = 1714979289;

async function version1() {
  const schema = [{ measurement: "cpu", fields: { f: FieldType.FLOAT, n: FieldType.INTEGER }, tags: ["writer"] }];
  const at = { host: "127.0.0.1", port, username: "telegraf", password: "op:en" };
  const client = new Version1({ ...at, database: "telegraf", schema });
  const hosts = await client.ping(5000);
  if (!hosts.every((host) => host.online)) throw new Error("it is not there");
  const names = await client.getDatabaseNames();
  if (!names.includes("telegraf")) await client.createDatabase("telegraf");
  const point = { measurement: "cpu", tags: { writer: "npm influx" }, fields: { f: 1.5, n: 2 } };
  await client.writePoints([{ ...point, timestamp: new Date(time * 1000) }], { precision: "s" });
}

async function version2() {
  const client = new Version2({ url: `http://127.0.0.1:${port}`, token: "telegraf:op:en" });
  const writer = client.getWriteApi("-", "telegraf", "s");
  for (let number = 0; number < 10; number++) {
    const point = new Point("cpu").tag("writer", "npm influxdb-client").floatField("f", 2.5);
    writer.writePoint(point.timestamp(time));
  }
  await writer.close();
}

version1().then(version2).catch((error) => {
  console.error(error);
  process.exit(1);
});
