//! From tokens to a script, by recursive descent.

use super::ast::{
    Binary, Call, Chain, Comments, Dbrp, Expression, Joint, Link, Operator, Place, Script, Sign,
    Statement, Term, What, Word,
};
use super::fault::Fault;
use super::lexer::{Lexeme, Lexer, Token, nanos, unescaped};

/// The longest script.
pub const SCRIPT_BYTES_MAX: usize = 64 * 1024;

/// How deep parentheses, calls and lists may be inside one another.
const NESTING_MAX: u32 = 40;

/// How many operators a lambda may have, or a statement outside of its lambdas. Each may be one
/// level more of the tree, and a thread of a router has a small stack.
const OPERATORS_MAX: u32 = 200;

/// Reads a script.
///
/// # Errors
///
/// Fails at the first thing that is no TICKscript.
pub fn parse(text: &str) -> Result<Script, Fault> {
    let mut parser = Parser::new(text)?;
    let mut statements = Vec::new();
    while parser.peek() != Token::End {
        parser.operators = 0;
        statements.push(parser.statement()?);
    }
    let end = parser.bump();
    if statements.is_empty() {
        return Err(Fault::new(end.place, "the script is empty"));
    }
    Ok(Script { statements, comments: Comments(parser.pending) })
}

/// Reads an expression as it stands behind `lambda:`, such as the `match` of a handler.
///
/// # Errors
///
/// Fails at the first thing that is no expression.
pub fn parse_expression(text: &str) -> Result<Expression, Fault> {
    let mut parser = Parser::new(text)?;
    let expression = parser.operation()?;
    if parser.peek() != Token::End {
        return Err(parser.unexpected("an operator or the end"));
    }
    Ok(expression)
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    ahead: Lexeme<'a>,
    /// Comments that were passed and belong to what comes next.
    pending: Vec<Box<str>>,
    nesting: u32,
    operators: u32,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Result<Self, Fault> {
        if text.len() > SCRIPT_BYTES_MAX {
            let what = format!(
                "the script has {} bytes; {SCRIPT_BYTES_MAX} are the most that one may have",
                text.len()
            );
            return Err(Fault::new(Place { line: 1, column: 1 }, what));
        }
        let mut lexer = Lexer::new(text);
        let ahead = lexer.next();
        Ok(Parser { lexer, ahead, pending: Vec::new(), nesting: 0, operators: 0 })
    }

    fn statement(&mut self) -> Result<Statement, Fault> {
        let place = self.ahead.place;
        match self.peek() {
            Token::Var => self.declaration(place),
            Token::Dbrp => self.dbrp(place),
            // A lone value does nothing, and printed behind a name it would be its arguments.
            Token::Name(_) => {
                let mut comments = self.comments_ahead();
                let mut expression = self.expression()?;
                comments.take(&mut expression);
                Ok(Statement { place, comments, what: What::Expression(expression) })
            }
            _ => Err(self.unexpected("`var`, `dbrp` or a name such as `stream`")),
        }
    }

    fn declaration(&mut self, place: Place) -> Result<Statement, Fault> {
        self.bump();
        let mut comments = self.take_comments();
        let name = self.name("a name")?;
        let what = if self.accept(Token::Assign) {
            let mut value = self.expression()?;
            comments.take(&mut value);
            What::Var { name, value }
        } else {
            What::Variable { name, kind: self.name("`=` and a value, or a type")? }
        };
        Ok(Statement { place, comments, what })
    }

    fn dbrp(&mut self, place: Place) -> Result<Statement, Fault> {
        const SHAPE: &str = "a database and a retention policy: dbrp \"db\".\"rp\"";
        self.bump();
        let comments = self.take_comments();
        let database = self.reference(SHAPE)?;
        if !self.accept(Token::Dot) {
            return Err(self.unexpected(SHAPE));
        }
        let retention_policy = self.reference(SHAPE)?;
        let what = What::Dbrp(Dbrp { database, retention_policy });
        Ok(Statement { place, comments, what })
    }

    /// What may be a statement, a value of `var` or an argument.
    fn expression(&mut self) -> Result<Expression, Fault> {
        self.nested(|parser| match parser.peek() {
            Token::Lambda => parser.lambda(),
            Token::OpenList => parser.list(),
            Token::Name(_) => {
                let head = parser.name_or_call(Self::expression)?;
                match parser.peek() {
                    Token::Dot | Token::Pipe | Token::At => parser.chain(head),
                    _ => parser.behind(head, 0),
                }
            }
            _ => parser.operation(),
        })
    }

    fn chain(&mut self, mut head: Expression) -> Result<Expression, Fault> {
        let (place, mut links) = (head.place, Vec::new());
        let mut before = Comments::default();
        before.take(&mut head);
        loop {
            let joint = match self.peek() {
                Token::Pipe => Joint::Node,
                Token::Dot => Joint::Property,
                Token::At => Joint::Udf,
                _ => break,
            };
            let place = self.bump().place;
            let name = self.name("the name of a node or property")?;
            let comments = self.take_comments();
            if self.peek() != Token::Open {
                let what = format!("`{0}` needs parentheses: {0}()", name.text);
                return Err(self.or_wrong(Fault::new(name.place, what)));
            }
            let call = self.call(name, Self::expression)?;
            links.push(Link { place, comments, joint, call });
        }
        let term = Term::Chain(Box::new(Chain { head, links }));
        Ok(Expression { place, comments: before, term })
    }

    fn name_or_call(&mut self, argument: Argument<'a>) -> Result<Expression, Fault> {
        let name = self.name("a name")?;
        let (place, comments) = (name.place, self.take_comments());
        let term = if self.peek() == Token::Open {
            Term::Call(self.call(name, argument)?)
        } else {
            Term::Name(name.text)
        };
        Ok(Expression { place, comments, term })
    }

    /// The parentheses of a call and what is in them.
    fn call(&mut self, name: Word, argument: Argument<'a>) -> Result<Call, Fault> {
        self.bump();
        let mut arguments = Vec::new();
        while self.peek() != Token::Close {
            arguments.push(argument(self)?);
            if !self.accept(Token::Comma) {
                break;
            }
        }
        self.expect(Token::Close, "`,` or `)`")?;
        let lines = arguments.last().is_some_and(|last| last.place.line > name.place.line)
            || breaks_before_last(&arguments);
        Ok(Call { name, arguments, lines })
    }

    fn list(&mut self) -> Result<Expression, Fault> {
        let place = self.bump().place;
        let mut comments = self.take_comments();
        let mut items = Vec::new();
        while self.peek() != Token::CloseList {
            let mut item = match self.peek() {
                Token::Name(_) | Token::Text(_) | Token::Star => self.literal()?,
                _ => return Err(self.unexpected("a text, a name or `*`")),
            };
            comments.take(&mut item);
            items.push(item);
            if !self.accept(Token::Comma) {
                break;
            }
        }
        self.expect(Token::CloseList, "`,` or `]`")?;
        Ok(Expression { place, comments, term: Term::List(items) })
    }

    fn lambda(&mut self) -> Result<Expression, Fault> {
        let place = self.bump().place;
        let mut comments = self.take_comments();
        let outside = std::mem::take(&mut self.operators);
        let mut inner = self.operation()?;
        self.operators = outside;
        comments.take(&mut inner);
        Ok(Expression { place, comments, term: Term::Lambda(Box::new(inner)) })
    }

    /// Operands and operators.
    fn operation(&mut self) -> Result<Expression, Fault> {
        self.nested(|parser| {
            let first = parser.operand()?;
            parser.behind(first, 0)
        })
    }

    /// The operators behind an operand that bind at least as tightly as given.
    fn behind(&mut self, mut left: Expression, least: u8) -> Result<Expression, Fault> {
        while let Some(operator) = self.operator(|binds| binds >= least) {
            self.count_operator()?;
            let place = self.bump().place;
            let mut comments = Comments::default();
            comments.take(&mut left);
            comments.0.append(&mut self.pending);
            let mut right = self.operand()?;
            while let Some(tighter) = self.operator(|binds| binds > operator.binds()) {
                right = self.behind(right, tighter.binds())?;
            }
            let lines = right.place.line > left.place.line || breaks(&left) || has_comments(&right);
            let binary = Binary { operator, left, right, parens: false, lines };
            left = Expression { place, comments, term: Term::Binary(Box::new(binary)) };
        }
        Ok(left)
    }

    fn operand(&mut self) -> Result<Expression, Fault> {
        match self.peek() {
            Token::Open => self.nested(Self::parentheses),
            Token::Operator(Operator::Minus) => self.nested(|parser| parser.unary(Sign::Minus)),
            Token::Not => self.nested(|parser| parser.unary(Sign::Not)),
            Token::Name(_) => self.nested(|parser| parser.name_or_call(Self::operation)),
            _ => self.literal(),
        }
    }

    fn parentheses(&mut self) -> Result<Expression, Fault> {
        self.bump();
        let mut before = self.take_comments();
        let mut inner = self.operation()?;
        self.expect(Token::Close, "an operator or `)`")?;
        before.take(&mut inner);
        inner.comments = before;
        if let Term::Binary(binary) = &mut inner.term {
            binary.parens = true;
        }
        Ok(inner)
    }

    fn unary(&mut self, sign: Sign) -> Result<Expression, Fault> {
        self.count_operator()?;
        let place = self.bump().place;
        let mut comments = self.take_comments();
        let mut inner = self.operand()?;
        comments.take(&mut inner);
        Ok(Expression { place, comments, term: Term::Unary(sign, Box::new(inner)) })
    }

    /// A value that is one token.
    fn literal(&mut self) -> Result<Expression, Fault> {
        let place = self.ahead.place;
        let term = match self.peek() {
            Token::Number(digits) => number(digits),
            Token::Duration(written) => nanos(written)
                .map(|nanos| Term::Duration { nanos, written: written.into() })
                .ok_or_else(|| format!("`{written}` is longer than 292 years")),
            Token::Text(text) => Ok(self::text(text)),
            Token::Reference(text) => Ok(Term::Reference(unescaped(text, '"'))),
            Token::Regex(text) => Ok(Term::Regex(unescaped(text, '/'))),
            Token::Name(name) => Ok(Term::Name(name.into())),
            Token::True => Ok(Term::Bool(true)),
            Token::False => Ok(Term::Bool(false)),
            Token::Star => Ok(Term::Star),
            Token::Lambda => Err("`lambda:` may not be inside an expression".to_owned()),
            Token::OpenList => Err("a list may not be inside an expression".to_owned()),
            _ => return Err(self.unexpected("a value")),
        };
        let term = term.map_err(|what| Fault::new(place, what))?;
        self.bump();
        Ok(Expression { place, comments: self.take_comments(), term })
    }

    fn name(&mut self, wanted: &str) -> Result<Word, Fault> {
        let Token::Name(text) = self.peek() else { return Err(self.unexpected(wanted)) };
        Ok(Word { place: self.bump().place, text: text.into() })
    }

    fn reference(&mut self, wanted: &str) -> Result<Box<str>, Fault> {
        let Token::Reference(text) = self.peek() else { return Err(self.unexpected(wanted)) };
        self.bump();
        Ok(unescaped(text, '"'))
    }

    /// The operator that comes next, if there is one that binds as wanted.
    fn operator(&self, binds: impl Fn(u8) -> bool) -> Option<Operator> {
        match self.peek() {
            Token::Operator(operator) if binds(operator.binds()) => Some(operator),
            _ => None,
        }
    }

    fn peek(&self) -> Token<'a> {
        self.ahead.token
    }

    fn bump(&mut self) -> Lexeme<'a> {
        let next = self.lexer.next();
        let mut lexeme = std::mem::replace(&mut self.ahead, next);
        self.pending.append(&mut lexeme.comments);
        lexeme
    }

    fn accept(&mut self, token: Token<'a>) -> bool {
        let is_there = self.peek() == token;
        if is_there {
            self.bump();
        }
        is_there
    }

    fn expect(&mut self, token: Token<'a>, wanted: &str) -> Result<(), Fault> {
        if self.accept(token) { Ok(()) } else { Err(self.unexpected(wanted)) }
    }

    fn take_comments(&mut self) -> Comments {
        Comments(std::mem::take(&mut self.pending))
    }

    /// Those of the next token, so that they stand in front of a whole statement.
    fn comments_ahead(&mut self) -> Comments {
        self.pending.append(&mut self.ahead.comments);
        self.take_comments()
    }

    /// Goes one level down.
    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        if self.nesting == NESTING_MAX {
            let what = format!("more than {NESTING_MAX} parentheses or calls inside one another");
            return Err(Fault::new(self.ahead.place, what));
        }
        self.nesting += 1;
        let found = read(self);
        self.nesting -= 1;
        found
    }

    fn count_operator(&mut self) -> Result<(), Fault> {
        self.operators += 1;
        if self.operators > OPERATORS_MAX {
            let what = format!("an expression has at most {OPERATORS_MAX} operators");
            return Err(Fault::new(self.ahead.place, what));
        }
        Ok(())
    }

    /// What is wrong with the next token, where something else is wanted.
    fn unexpected(&self, wanted: &str) -> Fault {
        let token = self.peek();
        let hint = match token {
            Token::Assign => "; two values are compared by `==`",
            Token::Name("and" | "or") => "; operators are upper case: `AND`, `OR`",
            Token::Var if wanted == "a value" => "; it is a keyword and cannot be a name",
            _ => "",
        };
        let what = format!("unexpected {}, {wanted} is expected{hint}", token.words());
        self.or_wrong(Fault::new(self.ahead.place, what))
    }

    /// The lexer's own words, if the next token is none.
    fn or_wrong(&self, fault: Fault) -> Fault {
        match (&self.lexer.fault, self.peek()) {
            (Some(wrong), Token::Wrong) => wrong.clone(),
            _ => fault,
        }
    }
}

/// Whether an expression is printed on several lines. What follows it is then on a line of its own,
/// too, or a script printed twice would not look the same.
fn breaks(expression: &Expression) -> bool {
    has_comments(expression)
        || match &expression.term {
            Term::Chain(_) => true,
            Term::Lambda(inner) | Term::Unary(_, inner) => breaks(inner),
            Term::Binary(binary) => binary.lines || breaks(&binary.left) || breaks(&binary.right),
            Term::Call(call) => call.lines || call.arguments.iter().any(breaks),
            _ => false,
        }
}

/// Whether the place of the last argument will be on another line than the name of the call.
fn breaks_before_last(arguments: &[Expression]) -> bool {
    let Some((last, before)) = arguments.split_last() else { return false };
    let moves = match &last.term {
        Term::Binary(binary) => breaks(&binary.left),
        _ => false,
    };
    moves || has_comments(last) || before.iter().any(breaks)
}

fn has_comments(expression: &Expression) -> bool {
    !expression.comments.0.is_empty()
}

/// Reads one argument of a call.
type Argument<'a> = fn(&mut Parser<'a>) -> Result<Expression, Fault>;

fn number(digits: &str) -> Result<Term, String> {
    if digits.contains('.') {
        let value: f64 = digits.parse().map_err(|_| format!("`{digits}` is not a number"))?;
        return match value.is_finite() {
            true => Ok(Term::Float(value)),
            false => Err(format!("`{digits}` is too large")),
        };
    }
    let octal = digits.len() > 1 && digits.starts_with('0');
    let value = i64::from_str_radix(digits, if octal { 8 } else { 10 });
    value.map(|value| Term::Int { value, octal }).map_err(|_| {
        if octal && digits.contains(['8', '9']) {
            format!("`{digits}` is not a number: behind a leading 0 the digits are 0 to 7")
        } else {
            format!("`{digits}` is too large for a whole number")
        }
    })
}

fn text(quoted: &str) -> Term {
    let raw = quoted.strip_prefix("'''").and_then(|rest| rest.strip_suffix("'''"));
    match raw {
        Some(value) if quoted.len() >= 6 => Term::Text { value: value.into(), raw: true },
        _ => Term::Text { value: unescaped(&quoted[1..quoted.len() - 1], '\''), raw: false },
    }
}
