//! Printing a script and reading it again: nothing changes, and no comment is lost.

use crate::alerts::script::ast::{
    Comments, Expression, Place, Script, Statement, Term, What, Word,
};
use crate::alerts::script::{format, format_expression, parse, parse_expression};

#[test]
fn the_vendors_script_is_printed_as_by_the_vendor() {
    let text = "
stream
  |from()
    .measurement('cpu')
  |alert()
    .crit(lambda: \"usage_idle\" < 10)
    .message('{{ .Time }}: CPU usage over 90%')
    .mqtt('alerts')
      .qos(2)
";
    let wanted = "\
stream
    |from()
        .measurement('cpu')
    |alert()
        .crit(lambda: \"usage_idle\" < 10)
        .message('{{ .Time }}: CPU usage over 90%')
        .mqtt('alerts')
        .qos(2)
";
    assert_eq!(format(&parse(text).unwrap()), wanted);
}

#[test]
fn everything_has_one_way_to_be_printed() {
    for (text, wanted) in [
        ("var x=5 var y='a'", "var x = 5\n\nvar y = 'a'\n"),
        ("var x   int", "var x int\n"),
        ("dbrp \"a\" . \"b\"", "dbrp \"a\".\"b\"\n"),
        ("dbrp\"a\\\"\".\"\"", "dbrp \"a\\\"\".\"\"\n"),
        ("var l=[ 'a',b , * , ]", "var l = ['a', b, *]\n"),
        (
            "var f=1.50 var g=.5 var h=2. var i=0600",
            "var f = 1.5\n\nvar g = 0.5\n\nvar h = 2.0\n\nvar i = 0600\n",
        ),
        ("var d=90s var e=-3µ", "var d = 90s\n\nvar e = -3µ\n"),
        ("var t='''it's\n'''", "var t = '''it's\n'''\n"),
        ("var t='it\\'s'", "var t = 'it\\'s'\n"),
        ("var r=/a\\/b\\d/", "var r = /a\\/b\\d/\n"),
        ("var l=lambda:\"a\\\"b\">1 AND(TRUE)", "var l = lambda: \"a\\\"b\" > 1 AND TRUE\n"),
        ("var l=lambda: (1+2)*-(3)", "var l = lambda: (1 + 2) * -3\n"),
        ("a|b(1,'x',lambda:c(),)", "a\n    |b(1, 'x', lambda: c())\n"),
        ("a|b(1,\n2)", "a\n    |b(\n        1,\n        2\n    )\n"),
        ("a.b(lambda: x AND\ny)", "a\n        .b(lambda: x AND\n            y)\n"),
        (
            "a.b(lambda: x\nAND y AND z)",
            "a\n        .b(lambda: x AND\n            y AND\n            z)\n",
        ),
        ("a@u().v(1)", "a\n    @u()\n        .v(1)\n"),
        (
            "// one\n\n//two\nstream // three\n|from() // four\n",
            "// one\n\n// two\nstream\n    // three\n    |from()\n\n// four\n",
        ),
        (
            "a|b( // why\n 1 // because\n)",
            "a\n    |b(\n        // why\n        1\n    )\n\n// because\n",
        ),
        ("a|b(lambda: // why\n x)", "a\n    |b(\n        // why\n        lambda: x\n    )\n"),
        ("var x = // why\n 5", "// why\nvar x = 5\n"),
    ] {
        assert_eq!(format(&parse(text).unwrap()), wanted, "{text}");
        stays_the_same(text);
    }
}

#[test]
fn what_a_handler_matches_is_printed_in_one_way() {
    for (text, wanted) in [
        ("level()>=WARNING AND \"host\"=='a'", "level() >= WARNING AND \"host\" == 'a'"),
        ("(changed()==TRUE)", "(changed() == TRUE)"),
        ("alertDuration() > 5m", "alertDuration() > 5m"),
    ] {
        assert_eq!(format_expression(&parse_expression(text).unwrap()), wanted);
    }
}

/// Reads, prints and reads again.
fn stays_the_same(text: &str) {
    let Ok(first) = parse(text) else { return };
    let printed = format(&first);
    let mut second = parse(&printed).unwrap_or_else(|fault| panic!("{fault}\n{text}\n{printed}"));
    assert_eq!(format(&second), printed, "printed twice: {text}");
    let mut first = first;
    let before = comments_of(text);
    assert_eq!(comments_of(&printed), before, "{text}\n{printed}");
    bare(&mut first);
    bare(&mut second);
    assert_eq!(first, second, "{text}\n{printed}");
}

/// The comments of a text that has `//` nowhere else, sorted.
fn comments_of(text: &str) -> Vec<String> {
    let words = |line: &str| line.split_once("//").map(|(_, words)| words.trim().to_owned());
    let mut comments: Vec<String> = text.lines().filter_map(words).collect();
    comments.sort();
    comments
}

/// Takes away what printing may change: places, comments, and what is on one line.
fn bare(script: &mut Script) {
    script.comments = Comments::default();
    for Statement { place, comments, what } in &mut script.statements {
        *place = Place::default();
        *comments = Comments::default();
        match what {
            What::Dbrp(_) => (),
            What::Var { name, value } => {
                word(name);
                plain(value);
            }
            What::Variable { name, kind } => {
                word(name);
                word(kind);
            }
            What::Expression(expression) => plain(expression),
        }
    }
}

fn word(word: &mut Word) {
    word.place = Place::default();
}

fn plain(expression: &mut Expression) {
    expression.place = Place::default();
    expression.comments = Comments::default();
    match &mut expression.term {
        Term::List(items) => items.iter_mut().for_each(plain),
        Term::Lambda(inner) | Term::Unary(_, inner) => plain(inner),
        Term::Binary(binary) => {
            binary.lines = false;
            plain(&mut binary.left);
            plain(&mut binary.right);
        }
        Term::Call(call) => {
            word(&mut call.name);
            call.lines = false;
            call.arguments.iter_mut().for_each(plain);
        }
        Term::Chain(chain) => {
            plain(&mut chain.head);
            for link in &mut chain.links {
                link.place = Place::default();
                link.comments = Comments::default();
                word(&mut link.call.name);
                link.call.lines = false;
                link.call.arguments.iter_mut().for_each(plain);
            }
        }
        _ => (),
    }
}

/// Any sequence of words of the language: most are no scripts, and none makes a panic.
#[test]
fn no_text_makes_a_panic_and_all_scripts_stay_the_same() {
    const WORDS: &str = "var|dbrp|lambda:|lambda|AND|OR|TRUE|FALSE|x|y|stream|from|alert|(|)|(|)|[|]\
        |,|.|@|=|==|!=|=~|!~|<|>=|+|-|*|/|%|!|5|010|1.5|10s|'t'|'''r'''|\"f\"|/re/|// c\n|\n|\n| | ";
    let mut words: Vec<&str> = WORDS.split('|').collect();
    words.extend(["|", "|b()", ".c(1)", "stream|from()", "lambda: \"v\" > 1", "var x = ", "f("]);
    let mut dice = fastrand::Rng::with_seed(12);
    let mut scripts = 0;
    for _ in 0..30_000 {
        let text: Vec<&str> =
            (0..dice.usize(1..14)).map(|_| dice.choice(&words).copied().unwrap()).collect();
        let text = text.join(if dice.bool() { " " } else { "" });
        scripts += usize::from(parse(&text).is_ok());
        // What looks like a comment begins with the end of a regular expression.
        if !text.contains("e//") {
            stays_the_same(&text);
        }
        let _ = parse_expression(&text);
    }
    assert!(scripts > 300, "{scripts} scripts are enough to mean something");
}

/// Scripts that are right, with comments and line feeds wherever they may be.
#[test]
fn scripts_made_by_dice_stay_the_same() {
    let mut dice = fastrand::Rng::with_seed(7);
    for _ in 0..2_000 {
        let mut maker = Maker { dice: &mut dice, out: String::new(), comments: 0 };
        maker.script();
        let text = maker.out;
        assert!(parse(&text).is_ok(), "{text}: {}", parse(&text).unwrap_err());
        stays_the_same(&text);
    }
}

struct Maker<'a> {
    dice: &'a mut fastrand::Rng,
    out: String,
    comments: usize,
}

impl Maker<'_> {
    fn script(&mut self) {
        for _ in 0..self.dice.usize(1..4) {
            match self.dice.usize(..4) {
                0 => self.put("dbrp \"telegraf\".\"auto gen\""),
                1 => {
                    self.put("var x =");
                    self.argument(2);
                }
                2 => self.put("var y string"),
                _ => self.chain(2),
            }
            self.gap();
        }
    }

    fn chain(&mut self, depth: usize) {
        self.put("stream");
        for _ in 0..self.dice.usize(1..4) {
            let joint = *self.dice.choice(&["|", ".", "@"]).unwrap();
            self.put(joint);
            self.put("node");
            self.put("(");
            for index in 0..self.dice.usize(..3) {
                if index > 0 {
                    self.put(",");
                }
                self.argument(depth);
            }
            self.put(")");
        }
    }

    fn argument(&mut self, depth: usize) {
        match self.dice.usize(..5) {
            0 if depth > 0 => self.chain(depth - 1),
            1 => {
                self.put("lambda:");
                self.operation(3);
            }
            2 => ["[", "'a'", ",", "*", "]"].iter().for_each(|word| self.put(word)),
            _ => self.operation(2),
        }
    }

    fn operation(&mut self, depth: usize) {
        let values =
            ["5", "010", ".5", "10ms", "'it\\'s'", "'''r'''", "\"f\"", "TRUE", "x", "/a\\/b/"];
        let operators = ["+", "-", "*", "%", "==", "=~", "AND", "OR", "<"];
        match self.dice.usize(..6) {
            0 if depth > 0 => {
                self.put("(");
                self.operation(depth - 1);
                self.put(")");
            }
            1 if depth > 0 => {
                self.operation(depth - 1);
                let operator = *self.dice.choice(&operators).unwrap();
                self.put(operator);
                self.operation(depth - 1);
            }
            2 if depth > 0 => {
                let sign = *self.dice.choice(&["-", "!"]).unwrap();
                self.put(sign);
                self.operation(depth - 1);
            }
            3 if depth > 0 => {
                self.put("f");
                self.put("(");
                self.operation(depth - 1);
                self.put(")");
            }
            // Behind a value a slash divides, and behind a bracket it does not matter.
            _ => {
                let value = *self.dice.choice(&values).unwrap();
                self.put(value);
            }
        }
    }

    fn put(&mut self, word: &str) {
        self.gap();
        self.out.push_str(word);
    }

    fn gap(&mut self) {
        match self.dice.usize(..14) {
            0 => self.out.push_str("\n\n"),
            1 => {
                self.comments += 1;
                self.out.push_str(&format!(" // comment {}\n", self.comments));
            }
            _ => self.out.push(' '),
        }
    }
}
