use super::*;
use crate::alerts::pipeline::{Kind, Node, Pipeline};
use crate::alerts::script::Place;
use crate::message::{Origin, Qos};
use crate::topic::Pattern;
use std::collections::BTreeMap;

const NAMED: &str = "home/+room/+device";

fn template(text: &str) -> TopicTemplate {
    TopicTemplate::parse(text, &Pattern::parse(NAMED).unwrap()).unwrap()
}

fn path(text: &str) -> JsonPath {
    JsonPath(text.to_owned())
}

fn by_key<T>(pairs: &[(&str, &str)], make: impl Fn(&str) -> T) -> BTreeMap<String, T> {
    pairs.iter().map(|(key, text)| ((*key).to_owned(), make(text))).collect()
}

/// A task that reads all there is.
fn everything() -> Pipeline {
    let node = |name: &str, parents, kind| Node {
        name: name.to_owned(),
        place: Place::default(),
        parents,
        kind,
    };
    let nodes = vec![node("stream0", vec![], Kind::Stream), node("noop1", vec![0], Kind::NoOp)];
    Pipeline { nodes, ..Pipeline::default() }
}

/// The points of a message on `home/kitchen/t1`, one text each, or why there are none.
fn read(written: Written, payload: &[u8]) -> Result<Vec<String>, String> {
    let rule = PointRule {
        database: "home".to_owned(),
        retention_policy: String::new(),
        precision: Precision::Seconds,
        written,
    };
    let message = Message {
        topic: "home/kitchen/t1".to_owned(),
        payload: payload.to_vec(),
        origin: Origin::Mqtt,
        qos: Qos::AtLeastOnce,
        retain: false,
        retained: false,
    };
    let wanted = Wanted::of([everything()].iter());
    let reading = Reading { rule: &rule, filter: "home/+/+", wanted: &wanted, now: 7 };
    let mut points = Vec::new();
    let read = reading.read(&message, &mut Shelf::default(), &mut points);
    assert!(read.is_ok() || points.is_empty());
    assert!(points.iter().all(|point| &*point.database == "home"));
    read.map(|()| points.iter().map(shown).collect())
}

/// `measurement|key=value,…|key=value,…|time`
fn shown(point: &Point) -> String {
    let tags: Vec<_> = point.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let fields: Vec<_> = point.fields.iter().map(|(key, value)| format!("{key}={value}")).collect();
    format!("{}|{}|{}|{}", point.measurement, tags.join(","), fields.join(","), point.time)
}

fn json(fields: &[(&str, &str)], time: Option<&str>) -> Written {
    let piece = |text: &str| match text.contains('{') {
        true => Piece::Topic(template(text)),
        false => Piece::Path(path(text)),
    };
    Written::Json(Box::new(JsonPoint {
        measurement: Piece::Topic(template("climate")),
        tags: by_key(&[("room", "{room}"), ("id", "device.id"), ("fw", "none")], piece),
        fields: by_key(fields, path),
        time: time.map(path),
    }))
}

#[test]
fn a_document_says_what_its_paths_point_to() {
    let zigbee = br#"{"temperature":21.5,"battery":97,"occupancy":true,"action":"on","last":null,
        "update":{"state":"idle"},"list":[1],"device":{"id":17}}"#;
    let tasmota = br#"{"Time":1714979289.12,"ENERGY":{"Power":[12,"x"],"Total":1e400}}"#;
    for (fields, time, payload, wanted) in [
        (
            &[][..],
            None,
            &zigbee[..],
            Ok(
                "climate|id=17,room=kitchen|action=\"on\",battery=97,occupancy=true,temperature=21.5|7",
            ),
        ),
        (
            &[("t", "temperature"), ("none", "none")],
            None,
            zigbee,
            Ok("climate|id=17,room=kitchen|t=21.5|7"),
        ),
        (
            &[("power", "ENERGY.Power.0"), ("total", "ENERGY.Total")],
            Some("Time"),
            tasmota,
            Ok("climate|room=kitchen|power=12|1714979289120000000"),
        ),
        (&[], None, b"21.5", Ok("climate|room=kitchen|value=21.5|7")),
        (&[], None, b"\"on\"", Ok("climate|room=kitchen|value=\"on\"|7")),
        (
            &[],
            Some("t"),
            br#"{"a":1,"t":"1714979289"}"#,
            Ok("climate|room=kitchen|a=1,t=\"1714979289\"|1714979289000000000"),
        ),
        (&[], Some("t"), br#"{"a":1}"#, Err("there is no time at `t`")),
        (
            &[],
            Some("t"),
            br#"{"a":1,"t":"noon"}"#,
            Err("`noon` at `t` is no number that can be a time"),
        ),
        (
            &[("t", "none")],
            None,
            zigbee,
            Err("a point without a field: no number, text or truth value is there"),
        ),
        (
            &[],
            None,
            b"[1]",
            Err("a point without a field: no number, text or truth value is there"),
        ),
        (&[], None, b"ON", Err("expected value at line 1 column 1")),
    ] {
        let found = read(json(fields, time), payload).map(|points| points.join(" "));
        let wanted = wanted.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(found, wanted, "{}", String::from_utf8_lossy(payload));
    }
}

#[test]
fn a_measurement_may_stand_in_the_document() {
    let written = |measurement| {
        let (tags, fields, time) = (BTreeMap::new(), BTreeMap::new(), None);
        Written::Json(Box::new(JsonPoint { measurement, tags, fields, time }))
    };
    let of = |text| read(written(Piece::Path(path(text))), br#"{"type":"door","open":true}"#);
    assert_eq!(of("type").unwrap(), ["door||open=true,type=\"door\"|7"]);
    assert_eq!(of("kind").unwrap_err(), "a point without a measurement");
    let made = read(written(Piece::Topic(template("{room}-{2}"))), b"1").unwrap();
    assert_eq!(made, ["kitchen-t1||value=1|7"]);
}

#[test]
fn a_payload_may_be_a_value() {
    let written = Written::Value {
        measurement: template("{device}"),
        tags: by_key(&[("room", "{room}"), ("site", "north")], template),
    };
    for (payload, wanted) in [
        (&b"21.5"[..], Ok("t1|room=kitchen,site=north|value=21.5|7")),
        (b" -3 \r\n\0", Ok("t1|room=kitchen,site=north|value=-3|7")),
        (b"true", Ok("t1|room=kitchen,site=north|value=true|7")),
        (b"ON", Ok("t1|room=kitchen,site=north|value=\"ON\"|7")),
        (b"nan", Ok("t1|room=kitchen,site=north|value=\"nan\"|7")),
        (b"21.5 C", Ok("t1|room=kitchen,site=north|value=\"21.5 C\"|7")),
        (b"", Err("it is empty")),
        (b"\xff", Err("it is not UTF-8")),
    ] {
        let found = read(written.clone(), payload).map(|points| points.join(" "));
        assert_eq!(found.as_deref().map_err(String::as_str), wanted, "{payload:?}");
    }
}

#[test]
fn a_payload_may_be_lines() {
    let lines = |payload: &[u8]| read(Written::Lines, payload);
    assert_eq!(lines(b"a v=1\nb,c=d v=2i 3").unwrap(), ["a||v=1|7", "b|c=d|v=2i|3000000000"]);
    assert_eq!(lines(b"a v=1\nb v").unwrap_err(), "unable to parse 'b v': invalid field format");
    assert_eq!(lines(b"").unwrap(), [""; 0]);
}
