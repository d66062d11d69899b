use super::*;
use crate::alerts::event::Level;
use crate::alerts::point::{Field, Fields, Tags};

const TIME: i64 = 1_714_979_289_120_000_000;

/// What a template says of an alert, or the words of what is wrong.
fn said(text: &str, is_html: bool) -> String {
    let tags: Tags =
        [("host".into(), "a".into()), ("rack".into(), "r<1>".into())].into_iter().collect();
    let fields: Fields = [
        ("f", Field::from(9.25)),
        ("i", Field::from(7_i64)),
        ("b", Field::from(true)),
        ("s", Field::from("a \"b\"")),
    ]
    .into_iter()
    .map(|(key, field)| (key.into(), field))
    .collect();
    let server = Server {
        hostname: "router".to_owned(),
        cluster_id: "c1".to_owned(),
        server_id: "s1".to_owned(),
    };
    let alert = Alert {
        id: "cpu:nil",
        fields: &fields,
        level: Level::Critical,
        time: TIME,
        duration: 90_000_000_000,
    };
    let data = Data::of_id("cpu", "cpu_alert", "", &tags, &server).with_alert(alert);
    let mut out = String::new();
    let template = match Template::parse(text) {
        Ok(template) => template,
        Err(fault) => return fault.to_string(),
    };
    let rendered = if is_html {
        template.render_html(&data.with_message("<b>"), &mut out)
    } else {
        template.render(&data, &mut out)
    };
    match rendered {
        Ok(()) => out,
        Err(error) => error.to_string(),
    }
}

fn check(table: &[(&str, &str)]) {
    for (text, wanted) in table {
        assert_eq!(said(text, false), *wanted, "{text}");
    }
}

#[test]
fn values_are_printed_as_in_go() {
    check(&[
        ("{{ .ID }} is {{ .Level }}", "cpu:nil is CRITICAL"),
        ("{{ .Name }}:{{ .Group }} {{ .TaskName }}", "cpu:nil cpu_alert"),
        ("{{ .Time }}", "2024-05-06 07:08:09.12 +0000 UTC"),
        ("{{ .Duration }}", "1m30s"),
        ("{{ .Tags }} {{ .Fields }}", "map[host:a rack:r<1>] map[b:true f:9.25 i:7 s:a \"b\"]"),
        ("{{ .ServerInfo.Hostname }} {{ .ServerInfo }}", "router {router c1 s1}"),
        ("{{ 9.0 }} {{ 123456.0 }} {{ 1234567.0 }} {{ 1e21 }}", "9 123456 1.234567e+06 1e+21"),
        ("{{ 0.0001 }} {{ 0.00001 }} {{ -0.5 }} {{ 1000000.0 }}", "0.0001 1e-05 -0.5 1e+06"),
        ("{{ 0x1F }} {{ 017 }} {{ 0b11 }} {{ 1_000 }} {{ 'a' }}", "31 15 3 1000 97"),
        ("{{ index .Tags \"x\" }}|{{ index .Fields \"x\" }}", "|<no value>"),
        (
            "{{ . }}",
            "{{cpu cpu_alert nil map[host:a rack:r<1>] {router c1 s1}} cpu:nil map[b:true f:9.25 i:7 s:a \"b\"] CRITICAL 2024-05-06 07:08:09.12 +0000 UTC 1m30s}",
        ),
        ("{{ 1e-7 }} {{ 0x1e }} {{ -0x1F }} {{ +1.5E+3 }}", "1e-07 30 -31 1500"),
        ("{{ .Tags.x }}|{{ .Fields.x }}|{{ .Fields.x.y }}", "<no value>|<no value>|<no value>"),
    ]);
}

#[test]
fn actions_choose_and_repeat() {
    check(&[
        ("{{ if eq .Level \"OK\" }}a{{ else if .Fields.b }}b{{ else }}c{{ end }}", "b"),
        ("{{ with .Tags.host }}{{ . }}{{ $.ID }}{{ else }}none{{ end }}", "acpu:nil"),
        ("{{ with .Tags.x }}a{{ else with .Tags.host }}{{ . }}{{ end }}", "a"),
        ("{{ range $k, $v := .Tags }}{{ $k }}={{ $v }};{{ end }}", "host=a;rack=r<1>;"),
        ("{{ range .Tags }}{{ . }},{{ end }}", "a,r<1>,"),
        ("{{ range 3 }}{{ . }}{{ end }}{{ range 0 }}x{{ else }}none{{ end }}", "012none"),
        (
            "{{ range 9 }}{{ if eq . 1 }}{{ continue }}{{ end }}{{ . }}{{ if gt . 2 }}{{ break }}{{ end }}{{ end }}",
            "023",
        ),
        ("{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ $x := 3 }}{{ $x }}{{ end }}{{ $x }}", "32"),
        ("{{ $x := .Fields.i }}{{ range $x }}{{ $x }}{{ end }}", "7777777"),
        ("a  {{- /* comment */ -}}  b {{/* x */}} c", "ab  c"),
        ("a \n {{- \"b\" -}} \n c", "abc"),
        ("{{- 1 }} {{ -1 -}} x", "1 -1x"),
        ("{{ `raw\\n` }}{{ \"\\x41\\u00e9\\101\\n\" }}", "raw\\nAéA\n"),
    ]);
}

#[test]
fn functions_are_those_of_go() {
    check(&[
        (
            "{{ len .Tags }} {{ len \"äb\" }} {{ index \"ab\" 1 }} {{ slice \"abcd\" 1 3 }}",
            "2 3 98 bc",
        ),
        ("{{ and 1 0 2 }} {{ or 0 \"\" \"x\" }} {{ not .Fields.x }}", "0 x true"),
        ("{{ or true (lt 1 1.0) }}", "true"),
        (
            "{{ eq .Fields.i 1 7 }} {{ ne .Level \"OK\" }} {{ le 1 1 }} {{ ge \"a\" \"b\" }}",
            "true true true false",
        ),
        ("{{ gt .Fields.f 3.0 }} {{ gt .Fields.i 3 }} {{ eq .Fields.x nil }}", "true true true"),
        ("{{ eq .Fields.x 1 }}", "false"),
        ("{{ print 1 2 \"a\" 3 }} {{ println \"a\" 1 }}", "1 2a3 a 1\n"),
        (
            "{{ html .Fields.s }} {{ js \"a='b'\" }} {{ urlquery \"a b&\" }}",
            "a &#34;b&#34; a\\u003D\\'b\\' a+b%26",
        ),
        ("{{ .Fields.f | printf \"%0.1f %s\" | html | len }}", "16"),
        ("{{ (index .Tags \"host\") }} {{ (.Time).Unix }}", "a 1714979289"),
        ("{{ .Duration.Seconds }} {{ .Duration.Minutes }} {{ .Duration.String }}", "90 1.5 1m30s"),
        (
            "{{ .Time.Unix }} {{ .Time.UnixNano }} {{ .Time.Month }} {{ .Time.Weekday }} {{ printf \"%d\" .Time.Month }}",
            "1714979289 1714979289120000000 May Monday 5",
        ),
        (
            "{{ .Time.Add .Duration }} {{ .Time.Local.UTC.Year }}",
            "2024-05-06 07:09:39.12 +0000 UTC 2024",
        ),
        (
            "{{ jsonCompact .Tags }}{{ json .Fields }}",
            "{\"host\":\"a\",\"rack\":\"r\\u003c1\\u003e\"}{\"b\":true,\"f\":9.25,\"i\":7,\"s\":\"a \\\"b\\\"\"}\n",
        ),
    ]);
}

#[test]
fn printf_is_that_of_go() {
    check(&[
        ("{{ printf \"%0.1f\" 9.25 }} {{ printf \"%f\" .Fields.x }}", "9.2 %!f(<nil>)"),
        (
            "{{ printf \"%d\" .Fields.f }} {{ printf \"%s\" .Fields.i }}",
            "%!d(float64=9.25) %!s(int64=7)",
        ),
        ("{{ printf \"%5d|%-5d|%05d|%+d|% d\" 42 42 42 42 42 }}", "   42|42   |00042|+42| 42"),
        ("{{ printf \"%x %X %o %b %c %q %U\" 255 255 8 5 65 65 65 }}", "ff FF 10 101 A 'A' U+0041"),
        ("{{ printf \"%#x %#o %O\" 255 8 8 }}", "0xff 010 0o10"),
        (
            "{{ printf \"%8.3f|%-8.2f|%08.3f|%+.2e\" 3.14159 2.5 -3.5 12345.678 }}",
            "   3.142|2.50    |-003.500|+1.23e+04",
        ),
        (
            "{{ printf \"%g %G %e %.3g\" 1e-7 1e21 1.5 1234.5 }}",
            "1e-07 1E+21 1.500000e+00 1.23e+03",
        ),
        (
            "{{ printf \"%s|%5s|%-5s|%.2s|%q|%x\" \"abc\" \"abc\" \"abc\" \"abc\" \"a\\\"\" \"hi\" }}",
            "abc|  abc|abc  |ab|\"a\\\"\"|6869",
        ),
        (
            "{{ printf \"%t %v %T %T\" true .Duration .Fields.i .Duration }}",
            "true 1m30s int64 time.Duration",
        ),
        (
            "{{ printf \"%d%%\" 5 }} {{ printf \"%d\" }} {{ printf \"a\" 1 \"b\" }}",
            "5% %!d(MISSING) a%!(EXTRA int=1, string=b)",
        ),
        ("{{ printf \"%!\" 1 }}|{{ printf \"%\" }}", "%!!(int=1)|%!(NOVERB)"),
        (
            "{{ printf \"%[2]d %[1]d\" 1 2 }} {{ printf \"%*d\" 4 7 }} {{ printf \"%[5]d\" 1 }}",
            "2 1    7 %!d(BADINDEX)",
        ),
        (
            "{{ printf \"%.1f\" .Fields }}",
            "map[%!f(string=b):%!f(bool=true) %!f(string=f):9.2 %!f(string=i):%!f(int64=7) %!f(string=s):%!f(string=a)]",
        ),
    ]);
}

#[test]
fn times_are_written_by_layouts() {
    check(&[
        ("{{ .Time.Format \"2006-01-02T15:04:05Z07:00\" }}", "2024-05-06T07:08:09Z"),
        ("{{ .Time.Format \"Mon Jan _2 3:04:05PM 06\" }}", "Mon May  6 7:08:09AM 24"),
        (
            "{{ .Time.Format \"Monday, 02 January 2006 .000 .999999 MST -0700\" }}",
            "Monday, 06 May 2024 .120 .12 UTC +0000",
        ),
        (
            "{{ .Time.Format \"002 __2 pm 1/2 -07:00:00 Z0700 ,00\" }}",
            "127 127 am 5/6 +00:00:00 Z ,12",
        ),
        ("{{ .Time.Format \"Janet Monte .0000000000000\" }}", "Janet Monte .120000000"),
    ]);
}

#[test]
fn details_are_escaped_for_html() {
    for (text, wanted) in [
        (
            "<h1>{{ .Tags.rack }}</h1>{{ .Time }}",
            "<h1>r&lt;1&gt;</h1>2024-05-06 07:08:09.12 &#43;0000 UTC",
        ),
        ("{{ .Fields.x }}|{{ print .Fields.x }}", "|&lt;nil&gt;"),
        ("{{ .Message | html }} {{ .Message }}", "&lt;b&gt; &lt;b&gt;"),
        ("{{ jsonCompact .Tags.host }}", "&#34;a&#34;"),
        (
            "{{ .Nope }}",
            "in the template, line 1 char 4: there is no `.Nope` here, only .Name, .TaskName, .Group, .Tags, .ServerInfo, .ID, .Fields, .Level, .Time, .Duration, .Message",
        ),
    ] {
        assert_eq!(said(text, true), wanted, "{text}");
    }
    let all = said("{{ json . }}", true);
    let begin = "{&#34;Name&#34;:&#34;cpu&#34;,&#34;TaskName&#34;:&#34;cpu_alert&#34;,&#34;Group&#34;:&#34;nil&#34;";
    assert!(all.starts_with(begin), "{all}");
    assert!(all.ends_with("&#34;Message&#34;:&#34;\\u003cb\\u003e&#34;}\n"), "{all}");
}

#[test]
fn what_only_the_data_shows_is_an_error_with_its_place() {
    for (text, wanted) in [
        (
            "{{ gt (index .Fields \"f\") 3 }}",
            "line 1 char 4: values of types float64 and int cannot be compared: write 3.0 for a float",
        ),
        (
            "a\n{{ lt .Fields.x 1 }}",
            "line 2 char 4: values of types <nil> and int cannot be compared: it is missing",
        ),
        ("{{ .ID.x }}", "line 1 char 4: a value of type string has no `.x`"),
        ("{{ .Time.Nope }}", "line 1 char 4: a time has no method `.Nope` without arguments"),
        (
            "{{ .Message }}",
            "line 1 char 4: there is no `.Message` here, only .Name, .TaskName, .Group, .Tags, .ServerInfo, .ID, .Fields, .Level, .Time, .Duration",
        ),
        ("{{ index \"ab\" 2 }}", "line 1 char 4: the text has 2 bytes, no number 2"),
        ("{{ len 3 }}", "line 1 char 4: a value of type int has no length"),
        ("{{ printf 3 }}", "line 1 char 4: the first argument of `printf` is a text"),
        ("{{ range .ID }}{{ end }}", "line 1 char 10: `range` cannot go through a string"),
        (
            "{{ range 10000000 }}{{ end }}",
            "line 1 char 10: more than 4194304 bytes and steps: the template does too much",
        ),
    ] {
        assert_eq!(said(text, false), format!("in the template, {wanted}"), "{text}");
    }
}

#[test]
fn what_can_never_be_rendered_is_refused_with_its_place() {
    for (text, wanted) in [
        ("{{ .ID", "line 1 char 1: this `{{` is never closed by `}}`"),
        (
            "é\n {{ nope .ID }}",
            "line 2 char 5: there is no function `nope`; fields begin with a dot",
        ),
        ("{{ if .ID }}", "line 1 char 4: this `if` has no `{{ end }}`"),
        ("{{ end }}", "line 1 char 4: `end` without an `if`, `with` or `range`"),
        ("{{ else }}", "line 1 char 4: `else` without an `if`, `with` or `range`"),
        ("{{ if 1 }}{{ else }}{{ else }}{{ end }}", "line 1 char 24: a second `else`"),
        (
            "{{ range 1 }}{{ else if 1 }}{{ end }}",
            "line 1 char 22: `else if` cannot follow `range`",
        ),
        ("{{ break }}", "line 1 char 4: `break` outside of a `range`"),
        ("{{ $x }}", "line 1 char 4: there is no variable `$x`"),
        ("{{ if 1 }}{{ $x := 1 }}{{ end }}{{ $x }}", "line 1 char 36: there is no variable `$x`"),
        ("{{ }}", "line 1 char 4: a value is missing here"),
        ("{{ 1 | 2 }}", "line 1 char 8: what follows `|` must be a function or a method"),
        ("{{ 1 2 }}", "line 1 char 4: this takes no arguments: only functions and methods do"),
        (
            "{{ if nil }}{{ end }}",
            "line 1 char 7: `nil` alone says nothing: it can only be compared with",
        ),
        ("{{ (1 }}", "line 1 char 4: this `(` is never closed by `)`"),
        ("{{ print(1) }}", "line 1 char 9: a space is missing in front of this"),
        ("{{ \"a }}", "line 1 char 4: this text is never closed by \""),
        ("{{ 'ab' }}", "line 1 char 4: a letter in single quotes is one letter; texts are in \"\""),
        ("{{ 1x }}", "line 1 char 4: `1x` is no number"),
        ("{{/* a }}", "line 1 char 1: this comment is never closed by `*/}}`"),
        (
            "{{ define \"a\" }}",
            "line 1 char 4: `define` is not supported: a template is one piece here",
        ),
        ("{{ . ? }}", "line 1 char 6: `?` has no meaning here"),
    ] {
        assert_eq!(said(text, false), format!("in the template, {wanted}"), "{text}");
    }
    let deep = format!("{}1{}", "{{ ".to_owned() + &"(".repeat(60), ")".repeat(60) + " }}");
    assert!(said(&deep, false).contains("more than 50 levels deep"));
}
