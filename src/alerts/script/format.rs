//! Prints a script in the one way that `show` prints all of them.
//!
//! Nodes are indented by 4 spaces, properties by 8, statements have an empty line between them, and
//! comments stay in front of what they are about.

use super::ast::{Call, Comments, Expression, Joint, Script, Sign, Statement, Term, What};

/// One step of indentation.
const STEP: usize = 4;

/// A script as `show` prints it; reading it again gives the same script.
#[must_use]
pub fn format(script: &Script) -> String {
    let mut printer = Printer { out: String::new() };
    for (index, statement) in script.statements.iter().enumerate() {
        if index > 0 {
            printer.out.push('\n');
        }
        printer.statement(statement);
        printer.out.push('\n');
    }
    if !script.comments.0.is_empty() {
        printer.out.push('\n');
        printer.comments(&script.comments, 0);
    }
    printer.out
}

/// An expression as it is printed behind `lambda:`.
#[must_use]
pub fn format_expression(expression: &Expression) -> String {
    let mut printer = Printer { out: String::new() };
    printer.expression(expression, 0, true);
    printer.out
}

struct Printer {
    out: String,
}

impl Printer {
    fn statement(&mut self, statement: &Statement) {
        self.comments(&statement.comments, 0);
        match &statement.what {
            What::Dbrp(dbrp) => self.out.push_str(&format!("dbrp {dbrp}")),
            What::Var { name, value } => {
                self.out.push_str(&format!("var {} = ", name.text));
                self.expression(value, 0, false);
            }
            What::Variable { name, kind } => {
                self.out.push_str(&format!("var {} {}", name.text, kind.text));
            }
            What::Expression(expression) => self.expression(expression, 0, false),
        }
    }

    /// Prints comments on lines of their own.
    fn comments(&mut self, comments: &Comments, indent: usize) {
        for line in &comments.0 {
            if !line.is_empty() {
                self.indent(indent);
                self.out.push_str(line);
            }
            self.out.push('\n');
        }
    }

    fn indent(&mut self, indent: usize) {
        self.out.extend(std::iter::repeat_n(' ', indent));
    }

    /// Prints an expression; `on_new_line` says that its indentation is still missing.
    fn expression(&mut self, expression: &Expression, indent: usize, on_new_line: bool) {
        self.comments(&expression.comments, indent);
        if on_new_line {
            self.indent(indent);
        }
        match &expression.term {
            Term::Name(name) => self.out.push_str(name),
            Term::Int { value, octal: true } => self.out.push_str(&format!("0{value:o}")),
            Term::Int { value, octal: false } => self.out.push_str(&value.to_string()),
            Term::Float(value) => self.out.push_str(&float(*value)),
            Term::Text { value, raw } => self.text(value, *raw),
            Term::Bool(value) => self.out.push_str(if *value { "TRUE" } else { "FALSE" }),
            Term::Duration { nanos, written } if written.is_empty() => {
                self.out.push_str(&duration(*nanos));
            }
            Term::Duration { written, .. } => self.out.push_str(written),
            Term::Regex(pattern) => self.escaped(pattern, '/'),
            Term::Reference(name) => self.escaped(name, '"'),
            Term::Star => self.out.push('*'),
            Term::List(items) => self.list(items, indent),
            Term::Lambda(inner) => {
                self.out.push_str("lambda: ");
                self.expression(inner, indent, false);
            }
            Term::Unary(sign, inner) => {
                self.out.push(if *sign == Sign::Minus { '-' } else { '!' });
                self.expression(inner, indent, false);
            }
            Term::Binary(_) => self.binary(expression, indent),
            Term::Call(call) => self.call(call, indent),
            Term::Chain(_) => self.chain(expression, indent),
        }
    }

    fn binary(&mut self, expression: &Expression, indent: usize) {
        let Term::Binary(binary) = &expression.term else { return };
        let indent = if binary.parens { indent + STEP } else { indent };
        if binary.parens {
            self.out.push('(');
        }
        self.expression(&binary.left, indent, false);
        self.out.push(' ');
        self.out.push_str(binary.operator.text());
        self.out.push(if binary.lines { '\n' } else { ' ' });
        self.expression(&binary.right, indent, binary.lines);
        if binary.parens {
            self.out.push(')');
        }
    }

    fn chain(&mut self, expression: &Expression, indent: usize) {
        let Term::Chain(chain) = &expression.term else { return };
        self.expression(&chain.head, indent, false);
        for link in &chain.links {
            let (sign, steps) = match link.joint {
                Joint::Node => ('|', 1),
                Joint::Udf => ('@', 1),
                Joint::Property => ('.', 2),
            };
            let indent = indent + steps * STEP;
            self.out.push('\n');
            self.comments(&link.comments, indent);
            self.indent(indent);
            self.out.push(sign);
            self.call(&link.call, indent);
        }
    }

    fn call(&mut self, call: &Call, indent: usize) {
        self.out.push_str(&call.name.text);
        self.out.push('(');
        for (index, argument) in call.arguments.iter().enumerate() {
            if index > 0 {
                self.out.push_str(if call.lines { "," } else { ", " });
            }
            if call.lines {
                self.out.push('\n');
            }
            self.expression(argument, indent + STEP, call.lines);
        }
        if call.lines {
            self.out.push('\n');
            self.indent(indent);
        }
        self.out.push(')');
    }

    fn list(&mut self, items: &[Expression], indent: usize) {
        self.out.push('[');
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.out.push_str(", ");
            }
            self.expression(item, indent, false);
        }
        self.out.push(']');
    }

    fn text(&mut self, text: &str, raw: bool) {
        // A backslash in front of the closing quote would be an escape.
        if raw || text.ends_with('\\') {
            self.out.push_str(&format!("'''{text}'''"));
        } else {
            self.escaped(text, '\'');
        }
    }

    fn escaped(&mut self, text: &str, quote: char) {
        self.out.push(quote);
        for letter in text.chars() {
            if letter == quote {
                self.out.push('\\');
            }
            self.out.push(letter);
        }
        self.out.push(quote);
    }
}

/// Always with a point.
fn float(value: f64) -> String {
    let text = value.to_string();
    if text.contains('.') { text } else { text + ".0" }
}

/// In the largest unit that leaves no fraction.
pub(crate) fn duration(nanos: i64) -> String {
    const UNITS: [(i64, &str); 7] = [
        (604_800_000_000_000, "w"),
        (86_400_000_000_000, "d"),
        (3_600_000_000_000, "h"),
        (60_000_000_000, "m"),
        (1_000_000_000, "s"),
        (1_000_000, "ms"),
        (1_000, "u"),
    ];
    if nanos == 0 {
        return "0s".to_owned();
    }
    let fits = UNITS.iter().find(|(unit, _)| nanos % unit == 0);
    fits.map_or_else(|| format!("{nanos}ns"), |(unit, name)| format!("{}{name}", nanos / unit))
}
