//! Whatever points come: no node panics, and it does not matter how they are cut into bodies.

use crate::alerts::pipeline::SECOND;
use crate::alerts::point::{Field, Fields, Point, Tags};
use crate::alerts::script::{Vars, build, parse};
use crate::alerts::{Effects, Engine, Settings};
use proptest::prelude::*;

/// A task with every node.
const SCRIPT: &str = "
var all = stream|from().groupBy('host').truncate(1s)
all|where(lambda: \"f\" > 1)|alert().crit(lambda: \"f\" > 2).warn(lambda: \"g\" > 1).warnReset(lambda: \"f\" < 1)
    .flapping(0.2, 0.4).history(4).levelTag('level').id('{{ .Name }}{{ .Fields }}').topic('a')
var w = all|window().period(5s).every(2s).align()
w|mean('f')|alert().info(lambda: \"mean\" > 0.5).stateChangesOnly(3s).topic('b')
w|median('f').as('m')|derivative('m')|log()
w|percentile('f', 90.0)|log()
w|top(2, 'f', 'host', 'g')|groupBy('g')|count('top')|log()
w|distinct('f')|log()
w|stddev('f')|log()
w|spread('f')|log()
w|mode('f')|httpOut('mode')
w|alert().all().crit(lambda: \"f\" > 0).topic('c').noRecoveries()
all|window().period(3s)|sum('f')|log()
all|window().periodCount(3).everyCount(2).fillPeriod()|movingAverage('f', 2)|log()
all|elapsed('f', 1s)|cumulativeSum('elapsed')|difference('cumulativeSum')|log()
all|eval(lambda: \"f\" / \"g\", lambda: string(\"f\")).as('q', 'host').tags('host').keep()|stateCount(lambda: \"q\" > 1)|log()
all|default().field('f', 1).tag('host', 'x')|delete().tag('host')|stateDuration(lambda: \"f\" > 0)|log()
all|changeDetect('f')|sample(2)|union(all|sample(2s))|deadman(1.0, 4s, lambda: TRUE).topic('d')
";

fn engine() -> Engine {
    let mut engine = Engine::new(Settings::default(), []);
    let pipeline = build(&parse(SCRIPT).unwrap(), &Vars::default()).unwrap();
    engine.enable("task", pipeline, 0);
    engine
}

fn field() -> impl Strategy<Value = Option<Field>> {
    prop_oneof![
        4 => prop::num::f64::ANY.prop_map(|value| Some(Field::Float(value))),
        4 => (-3.0..4.0).prop_map(|value| Some(Field::Float(value))),
        2 => (-3_i64..4).prop_map(|value| Some(Field::Int(value))),
        1 => Just(Some(Field::Int(i64::MIN))),
        1 => any::<bool>().prop_map(|value| Some(Field::Bool(value))),
        1 => "[a ,=\\\\\n]{0,3}".prop_map(|text| Some(Field::from(text.as_str()))),
        1 => Just(None),
    ]
}

fn time() -> impl Strategy<Value = i64> {
    prop_oneof![
        20 => (-5_i64..30).prop_map(|time| time * SECOND),
        1 => Just(i64::MIN + 2),
        1 => Just(i64::MAX - 1),
    ]
}

prop_compose! {
    fn point()(
        host in "[ab,=\n]{0,2}",
        is_cpu: bool,
        f in field(),
        g in field(),
        time in time(),
    ) -> Point {
        let tags = [("host", host)].into_iter().filter(|(_, host)| !host.is_empty());
        let tags: Tags = tags.map(|(name, value)| (name.into(), value.into())).collect();
        let fields = [("f", f), ("g", g), ("h", Some(Field::Bool(true)))];
        let fields: Fields =
            fields.into_iter().filter_map(|(name, field)| Some((name.into(), field?))).collect();
        let measurement = if is_cpu { "cpu" } else { "mem" }.into();
        Point { database: "d".into(), retention_policy: "r".into(), measurement, tags, fields, time }
    }
}

fn words(effects: Vec<Effects>) -> Vec<String> {
    let words = |effects: Effects| {
        let events = effects.events.into_iter().map(|event| format!("{event:?}"));
        events.chain(effects.lines.into_iter().map(|line| line.words)).collect::<Vec<_>>()
    };
    let mut all: Vec<String> = effects.into_iter().flat_map(words).collect();
    all.sort();
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn it_does_not_matter_how_points_are_cut_into_bodies(
        points in prop::collection::vec(point(), 0..40),
        cut in 1_usize..10,
    ) {
        let whole = engine().feed(&points, 7 * SECOND);
        let mut other = engine();
        let pieces = points.chunks(cut).map(|piece| other.feed(piece, 7 * SECOND)).collect();
        prop_assert_eq!(words(vec![whole]), words(pieces));
        other.wake(20 * SECOND);
        other.delete("task");
    }
}
