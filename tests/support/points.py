"""Writes points as programs of PyPI do that know nothing of us: influxdb and influxdb-client."""

import sys

import influxdb
import influxdb_client
from influxdb_client.client.write_api import SYNCHRONOUS

PORT, UDP_PORT = int(sys.argv[1]), int(sys.argv[2])
TIME = 1714979289


def version_1():
    client = influxdb.InfluxDBClient("127.0.0.1", PORT, "telegraf", "op:en", "telegraf", gzip=True)
    assert client.ping()
    client.create_database("telegraf")
    assert {"name": "telegraf"} in client.get_list_database()
    point = {
        "measurement": "cpu",
        "tags": {"writer": "influxdb", "a key": "x, y=z", "größe": "ü"},
        "fields": {"f": 1.5, "n": 2, "t": True, "s": 'say "yes" \\ no', "nothing": None},
        "time": TIME,
    }
    assert client.write_points([point], time_precision="s", retention_policy="autogen")
    lines = ["cpu,writer=influxdb-lines f=1.5 1714979289000"]
    assert client.write_points(lines, time_precision="ms", protocol="line", batch_size=1)
    try:
        client.write_points(["cpu f=x"], protocol="line")
        sys.exit("a line with a fault was taken")
    except influxdb.exceptions.InfluxDBClientError as error:
        assert error.code == 400 and "unable to parse" in str(error), error
    wrong = influxdb.InfluxDBClient("127.0.0.1", PORT, "telegraf", "wrong", "telegraf")
    try:
        wrong.write_points([point])
        sys.exit("a wrong password was taken")
    except influxdb.exceptions.InfluxDBClientError as error:
        assert error.code == 401, error


def datagrams():
    client = influxdb.InfluxDBClient(use_udp=True, host="127.0.0.1", udp_port=UDP_PORT)
    client.write_points(
        [{"measurement": "cpu", "tags": {"writer": "udp"}, "fields": {"f": 3.5}, "time": TIME}],
        time_precision="s",
    )


def version_2():
    point = influxdb_client.Point("cpu").tag("writer", "influxdb-client").field("f", 2.5)
    point = point.field("s", 'a "b"').time(TIME, influxdb_client.WritePrecision.S)
    options = {"url": f"http://127.0.0.1:{PORT}", "token": "telegraf:op:en", "org": "-"}
    with influxdb_client.InfluxDBClient(enable_gzip=True, **options) as client:
        assert client.ping()
        client.write_api(write_options=SYNCHRONOUS).write("telegraf/autogen", "-", point)
        with client.write_api() as batching:
            for number in range(100):
                line = f"cpu,writer=batch f={number}.5 {TIME}000000000"
                batching.write("telegraf", "-", line)


version_1()
datagrams()
version_2()
