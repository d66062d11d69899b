use super::*;
use proptest::prelude::{Just, Strategy, any, prop, prop_assert_eq, prop_oneof, proptest};

const NOW: i64 = 1_700_000_000_000_000_000;

/// What a body says, one text for each line.
fn read(body: &[u8], precision: &str) -> Vec<String> {
    let mut shelf = Shelf::default();
    let mut lines = match Lines::new(body, Precision::of(precision).unwrap()) {
        Ok(lines) => lines,
        Err(fault) => return vec![fault.to_string()],
    };
    let (database, policy): (Name, Name) = ("db".into(), "rp".into());
    let mut said = Vec::new();
    while let Some(line) = lines.next() {
        said.push(match line {
            Ok(line) => shown(&line.point((&database, &policy), NOW, &mut shelf)),
            Err(fault) => fault.to_string(),
        });
    }
    said
}

/// `measurement|key=value,…|key=value,…|time`
fn shown(point: &Point) -> String {
    let tags: Vec<_> = point.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let fields: Vec<_> = point.fields.iter().map(|(key, value)| format!("{key}={value}")).collect();
    format!("{}|{}|{}|{}", point.measurement, tags.join(","), fields.join(","), point.time)
}

#[test]
fn a_line_says_what_it_says_in_influxdb() {
    for (line, wanted) in [
        ("cpu value=1 5", "cpu||value=1|5"),
        (
            "cpu,host=a,cpu=0 a=1.5,b=2i,c=t,d=\"x\" 5",
            "cpu|cpu=0,host=a|a=1.5,b=2i,c=true,d=\"x\"|5",
        ),
        ("cpu  value=1   -5  ", "cpu||value=1|-5"),
        ("  cpu value=1", "cpu||value=1|1700000000000000000"),
        ("cpu value=-1e3,b=.5,c=1.,d=1E+2 5", "cpu||b=0.5,c=1,d=100,value=-1000|5"),
        (
            "cpu a=F,b=false,c=False,d=FALSE,e=T,f=true,g=True,h=TRUE 5",
            "cpu||a=false,b=false,c=false,d=false,e=true,f=true,g=true,h=true|5",
        ),
        ("cpu value=-9223372036854775808i 5", "cpu||value=-9223372036854775808i|5"),
        (r"my\ cpu\,x,a\ b=c\,d,e\=f=g\=h a\,b\ c\=d=1 5", r"my cpu,x|a b=c,d,e=f=g=h|a,b c=d=1|5"),
        (r"a\b\=c,t\x=v\\y f\z=1 5", r"a\b\=c|t\x=v\\y|f\z=1|5"),
        (r"a=b,t=v\\,\=,u=w f=1 5", r"a=b|t=v\,=,u=w|f=1|5"),
        (r#"cpu a="x \"y\" \\ \z, = # ä",b=1 5"#, r#"cpu||a="x \"y\" \\ \\z, = # ä",b=1|5"#),
        ("cpu a=\"two\nlines\r\n\" 5", "cpu||a=\"two\nlines\r\n\"|5"),
        (r#"cpu "a"=1,b"c=2 5"#, r#"cpu||"a"=1,b"c=2|5"#),
        ("cpu a=1,a=2 5", "cpu||a=2|5"),
        ("größe,wö=ü ä=1 5", "größe|wö=ü|ä=1|5"),
    ] {
        assert_eq!(read(line.as_bytes(), "n"), [wanted], "{line}");
    }
}

#[test]
fn a_line_that_says_nothing_is_refused_with_its_reason() {
    for (line, reason) in [
        (",host=a value=1", "missing measurement"),
        ("cpu", "missing fields"),
        ("cpu ", "missing fields"),
        ("cpu,host=a", "missing fields"),
        ("cpu,host=a ", "missing fields"),
        ("cpu, value=1", "missing tag key"),
        ("cpu,=a value=1", "missing tag key"),
        ("cpu,host value=1", "missing tag value"),
        ("cpu,host= value=1", "missing tag value"),
        ("cpu,host=,b=c value=1", "missing tag value"),
        ("cpu,host=a=b value=1", "invalid tag format"),
        ("cpu,a=1,b=2,a=3 value=1", "duplicate tags"),
        ("cpu value", "invalid field format"),
        ("cpu value=1,b", "invalid field format"),
        ("cpu value=1,", "missing field key"),
        ("cpu =1", "missing field key"),
        ("cpu value=", "missing field value"),
        ("cpu value=,b=1", "missing field value"),
        ("cpu value= 5", "missing field value"),
        ("cpu value=x", "invalid boolean"),
        ("cpu value=tRUE", "invalid boolean"),
        ("cpu value=+1", "invalid boolean"),
        ("cpu value=inf", "invalid boolean"),
        ("cpu value=5u", "invalid number"),
        ("cpu value=1.5i", "invalid number"),
        ("cpu value=NaN", "invalid number"),
        ("cpu value=-Inf", "invalid number"),
        ("cpu value=0x1", "invalid number"),
        ("cpu value=1e400", "invalid number"),
        ("cpu value=.", "invalid number"),
        ("cpu value=9223372036854775808i", "invalid number"),
        ("cpu value=\"a", "unbalanced quotes"),
        ("cpu value=\"a\\\" 5", "unbalanced quotes"),
        ("cpu value=\"a\"b 5", "invalid field format"),
        ("cpu value=1 5s", "bad timestamp"),
        ("cpu value=1 -", "bad timestamp"),
        ("cpu value=1 1.5", "bad timestamp"),
        ("cpu value=1 5 6", "there is something behind the timestamp"),
        ("cpu value=1 9223372036854775807", "time outside range"),
        ("cpu value=1 92233720368547758080", "time outside range"),
    ] {
        assert_eq!(read(line.as_bytes(), "n"), [format!("unable to parse '{line}': {reason}")]);
    }
}

#[test]
fn a_body_is_read_line_by_line() {
    let body = b"# comment\n\n  \r\na v=1 1\r\nb v=x 2\nc v=1,\r\nd,h=i v=t\r\ne v=2i 3\r";
    assert_eq!(
        read(body, "n"),
        [
            "a||v=1|1",
            "unable to parse 'b v=x 2': invalid boolean",
            "unable to parse 'c v=1,': missing field key",
            "d|h=i|v=true|1700000000000000000",
            "e||v=2i|3",
        ]
    );
    assert_eq!(read(b"", "n"), [""; 0]);
    assert_eq!(
        read(b"a v=1\nb v=\xff,c\nd v=1", "n"),
        ["unable to parse 'b v=\u{fffd},c': it is not UTF-8"]
    );
    // The fault is where the text begins, and what follows is read for its own faults.
    assert_eq!(
        read(b"a v=\"b\nc v=1 1", "n"),
        ["unable to parse 'a v=\"b': unbalanced quotes", "c||v=1|1"]
    );
}

#[test]
fn a_timestamp_counts_what_the_precision_says() {
    for (precision, wanted) in [
        ("", "3"),
        ("n", "3"),
        ("ns", "3"),
        ("u", "3000"),
        ("us", "3000"),
        ("µ", "3000"),
        ("ms", "3000000"),
        ("s", "3000000000"),
        ("m", "180000000000"),
        ("h", "10800000000000"),
    ] {
        assert_eq!(read(b"a v=1 3", precision), [format!("a||v=1|{wanted}")], "{precision}");
    }
    let far = "a v=1 9000000000000";
    assert_eq!(read(far.as_bytes(), "s"), [format!("unable to parse '{far}': time outside range")]);
    let why = Precision::of("x").unwrap_err();
    assert_eq!(why, "invalid precision \"x\" (use n, u, ms, s, m or h)");
}

#[test]
fn there_are_bounds() {
    let tags = |count: usize| (0..count).map(|n| format!(",{n}=a")).collect::<String>();
    let fields = |count: usize| (0..count).map(|n| format!("{n}=1")).collect::<Vec<_>>().join(",");
    for (line, wanted) in [
        (format!("a{} v=1", tags(TAGS_MAX)), None),
        (format!("a{} v=1", tags(TAGS_MAX + 1)), Some("more than 255 tags")),
        (format!("a {}", fields(FIELDS_MAX)), None),
        (format!("a {}", fields(FIELDS_MAX + 1)), Some("more than 1024 fields")),
        (format!("{} v=1", "a".repeat(NAME_BYTES_MAX)), None),
        (
            format!("{} v=1", "a".repeat(NAME_BYTES_MAX + 1)),
            Some("a name of more than 65535 bytes"),
        ),
    ] {
        let mut lines = Lines::new(line.as_bytes(), Precision::Nanoseconds).unwrap();
        let found = lines.next().unwrap().err();
        assert_eq!(found.as_ref().map(|fault| fault.reason), wanted);
        assert!(found.is_none_or(|fault| fault.line.chars().count() <= SHOWN_MAX + 1));
    }
}

#[test]
fn lines_of_a_series_share_its_names_and_tags() {
    let mut shelf = Shelf::default();
    let to: (Name, Name) = ("db".into(), "".into());
    let mut lines = Lines::new(b"a,b=c v=1\na,b=c v=2\na,b=d v=3", Precision::Nanoseconds).unwrap();
    let mut points = Vec::new();
    while let Some(line) = lines.next() {
        points.push(line.unwrap().point((&to.0, &to.1), NOW, &mut shelf));
    }
    let name = |point: &Point| point.fields.iter().next().unwrap().0.as_ptr();
    assert_eq!(
        points[0].tags.get("b").unwrap().as_ptr(),
        points[1].tags.get("b").unwrap().as_ptr()
    );
    assert_eq!(points[0].measurement.as_ptr(), points[2].measurement.as_ptr());
    assert_eq!(name(&points[0]), name(&points[2]));
    assert_eq!(&**points[2].tags.get("b").unwrap(), "d");
}

/// The parts of `text` between separators that have no backslash in front of them.
fn cut(text: &str, separator: char) -> Vec<&str> {
    let (mut parts, mut from) = (Vec::new(), 0);
    for (at, letter) in text.char_indices() {
        if letter == separator && !text[..at].ends_with('\\') {
            parts.push(&text[from..at]);
            from = at + 1;
        }
    }
    parts.push(&text[from..]);
    parts
}

/// What a line says, as a naive reader finds out; `None` if it says nothing.
fn naive(line: &str) -> Option<String> {
    let head = cut(line, ' ')[0];
    let mut rest = line[head.len()..].trim_start_matches(' ');
    let name = |text: &str| text.replace("\\,", ",").replace("\\ ", " ").replace("\\=", "=");
    let mut tags = Vec::new();
    let mut parts = cut(head, ',').into_iter();
    let measurement = parts.next().filter(|text| !text.is_empty())?;
    for part in parts {
        let [key, value] = cut(part, '=')[..] else { return None };
        if key.is_empty() || value.is_empty() {
            return None;
        }
        tags.push((name(key), (*name(value)).into()));
    }
    let mut keys: Vec<_> = tags.iter().map(|tag: &(String, Name)| tag.0.clone()).collect();
    keys.sort();
    keys.dedup();
    if keys.len() < tags.len() {
        return None;
    }
    let mut fields = Vec::new();
    loop {
        let key = cut(rest, '=')[0];
        let is_one = cut(key, ',').len() == 1 && cut(key, ' ').len() == 1;
        if key.is_empty() || !is_one || key.len() == rest.len() {
            return None;
        }
        rest = &rest[key.len() + 1..];
        let (value, after) = naive_value(rest)?;
        fields.push((name(key), value));
        rest = after;
        match rest.strip_prefix(',') {
            Some(next) => rest = next,
            None => break,
        }
    }
    let time = match rest.trim_matches(' ') {
        "" => NOW,
        _ if !rest.starts_with(' ') => return None,
        time if time.starts_with('+') => return None,
        time => time.parse().ok().filter(|time| TIMES.contains(time))?,
    };
    Some(shown(&Point {
        database: "".into(),
        retention_policy: "".into(),
        measurement: measurement.replace("\\,", ",").replace("\\ ", " ").into(),
        tags: tags.into_iter().map(|(key, value)| (key.into(), value)).collect(),
        fields: fields.into_iter().map(|(key, value)| (key.into(), value)).collect(),
        time,
    }))
}

fn naive_value(rest: &str) -> Option<(Field, &str)> {
    if let Some(quoted) = rest.strip_prefix('"') {
        let (mut text, mut letters) = (String::new(), quoted.chars());
        loop {
            match letters.next()? {
                '"' => return Some((Field::from(text.as_str()), letters.as_str())),
                '\\' => match letters.next()? {
                    escaped @ ('"' | '\\') => text.push(escaped),
                    other => text.extend(['\\', other]),
                },
                letter => text.push(letter),
            }
        }
    }
    let word = rest.split([',', ' ']).next().unwrap_or_default();
    let after = &rest[word.len()..];
    let truth = ["t", "T", "true", "True", "TRUE"].contains(&word);
    if truth || ["f", "F", "false", "False", "FALSE"].contains(&word) {
        return Some((Field::Bool(truth), after));
    }
    if !word.starts_with(|first: char| first.is_ascii_digit() || ".-".contains(first)) {
        return None;
    }
    if let Some(digits) = word.strip_suffix('i') {
        return Some((Field::Int(digits.parse().ok()?), after));
    }
    let is_number = !word.contains(|letter: char| letter.is_alphabetic() && letter != 'e');
    let number: f64 = word.parse().ok().filter(|number: &f64| is_number && number.is_finite())?;
    Some((Field::Float(number), after))
}

fn escaped(text: &str, letters: &[char]) -> String {
    let add = |letter: char| match letters.contains(&letter) {
        true => format!("\\{letter}"),
        false => letter.to_string(),
    };
    text.chars().map(add).collect()
}

fn values() -> impl Strategy<Value = Field> {
    prop_oneof![
        any::<f64>().prop_filter("finite", |it| it.is_finite()).prop_map(Field::Float),
        any::<i64>().prop_map(Field::Int),
        any::<bool>().prop_map(Field::Bool),
        "[a\"\\\\ ,=\n#ä]{0,8}".prop_map(|text| Field::from(text.as_str())),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        measurement in "[a-c ,ä][a-c ,=ä\"]{0,5}",
        tags in prop::collection::btree_map("[a-c ,=ä]{1,4}", "[a-c ,=ä\"]{1,4}", 0..5),
        fields in prop::collection::btree_map("[a-c ,=ä\"]{1,4}", values(), 1..5),
        time in TIMES,
        end in prop_oneof![Just(""), Just("\n"), Just("\r\n"), Just("  \r\n\n# x\n")],
    ) {
        let name = |text: &str| escaped(text, &[',', ' ', '=']);
        let tag = |(key, value): (&String, &String)| format!(",{}={}", name(key), name(value));
        let field = |(key, value): (&String, &Field)| format!("{}={value}", name(key));
        let head: String = tags.iter().map(tag).collect();
        let body: Vec<_> = fields.iter().map(field).collect();
        let start = escaped(&measurement, &[',', ' ']);
        let line = format!("{start}{head} {} {time}{end}", body.join(","));
        let tags: Vec<_> = tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let fields: Vec<_> = fields.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let wanted = format!("{measurement}|{}|{}|{time}", tags.join(","), fields.join(","));
        prop_assert_eq!(read(line.as_bytes(), "n"), [wanted], "{}", line);
    }

    #[test]
    fn a_naive_reader_finds_the_same(line in "[a ]a?(,[ab\\\\=, ]{0,6}){0,2} [a\\\\,= ]{1,3}=[0-9a,=\" tie.\\\\-]{0,12}") {
        let line = line.trim_start_matches(' ');
        let found = read(line.as_bytes(), "n");
        match naive(line) {
            Some(wanted) => prop_assert_eq!(found, [wanted], "{}", line),
            None if line.is_empty() => (),
            None => {
                let refused = format!("unable to parse '{line}': ");
                prop_assert_eq!(found.len(), 1, "{}", line);
                prop_assert_eq!(&found[0][..refused.len()], refused, "{}", line);
            }
        }
    }
}
