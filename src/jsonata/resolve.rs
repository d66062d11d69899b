//! What names stand for. Whatever can never work is found here, before there is a message.

use super::Scope;
use super::fault::Fault;
use super::functions::{self, Native};
use super::parser::only_name;
use super::syntax::{Around, Kind, Node};
use std::sync::Arc;

/// What is known of a message beside its value.
const CONTEXT: &str = "context";

/// Functions of JSONata that there are not.
const MISSING: &[&str] = &[
    "match",
    "formatNumber",
    "formatBase",
    "formatInteger",
    "parseInteger",
    "random",
    "single",
    "error",
    "assert",
    "shuffle",
    "eval",
    "clone",
    "encodeUrl",
    "encodeUrlComponent",
    "decodeUrl",
    "decodeUrlComponent",
];

/// Gives every variable its meaning.
pub(super) fn resolve(node: &mut Node, scope: &Scope<'_>) -> Result<(), Fault> {
    Resolver { scope, bound: vec![Vec::new()] }.node(node, 0)
}

struct Resolver<'s> {
    scope: &'s Scope<'s>,
    /// The variables of each block and function around.
    bound: Vec<Vec<Arc<str>>>,
}

impl Resolver<'_> {
    /// A node, with this many arguments before its own if it is a call.
    fn node(&mut self, node: &mut Node, before: usize) -> Result<(), Fault> {
        for part in node.predicates.iter_mut().chain(&mut node.stages) {
            self.node(part, 0)?;
        }
        let at = node.at;
        match &mut node.kind {
            Kind::Literal(_)
            | Kind::Name(_)
            | Kind::Wildcard
            | Kind::Context
            | Kind::Root
            | Kind::Native(_)
            | Kind::Around(_) => Ok(()),
            Kind::Variable(name) => {
                let name = Arc::clone(name);
                node.kind = self.variable(name, at)?;
                Ok(())
            }
            Kind::Path { steps, .. } => {
                self.around(steps)?;
                self.nodes(steps)
            }
            Kind::Negation(inner) => self.node(inner, 0),
            Kind::Bind(name, value) => {
                let names = self.bound.last_mut().expect("there is a frame");
                names.push(Arc::clone(name));
                self.node(value, 0)
            }
            Kind::Binary(_, pair) | Kind::Range(pair) | Kind::Default { sides: pair, .. } => {
                self.nodes(&mut **pair)
            }
            Kind::Apply(pair) => {
                self.node(&mut pair[0], 0)?;
                self.node(&mut pair[1], 1)
            }
            Kind::Condition(pair, other) => {
                self.nodes(&mut **pair)?;
                other.as_mut().map_or(Ok(()), |other| self.node(other, 0))
            }
            Kind::List(nodes) => self.nodes(nodes),
            Kind::Object(pairs) => pairs.iter_mut().try_for_each(|pair| self.nodes(pair)),
            Kind::Block(nodes) => {
                let binds = nodes.iter().filter_map(|node| match &node.kind {
                    Kind::Bind(name, _) => Some(Arc::clone(name)),
                    _ => None,
                });
                // Functions may call each other.
                self.bound.push(binds.collect());
                let resolved = self.nodes(nodes);
                self.bound.pop();
                resolved
            }
            Kind::Call(called, arguments) => {
                self.nodes(arguments)?;
                let count = arguments.len() + before;
                self.call(called, count, at)
            }
            Kind::Lambda(lambda) => {
                self.bound.push(lambda.parameters.clone());
                let lambda = Arc::get_mut(lambda).expect("nobody else has it yet");
                let resolved = self.node(&mut lambda.body, 0);
                self.bound.pop();
                resolved
            }
        }
    }

    fn nodes(&mut self, nodes: &mut [Node]) -> Result<(), Fault> {
        nodes.iter_mut().try_for_each(|node| self.node(node, 0))
    }

    fn is_bound(&self, name: &str) -> bool {
        self.bound.iter().flatten().any(|known| &**known == name)
    }

    fn variable(&self, name: Arc<str>, at: usize) -> Result<Kind, Fault> {
        if self.is_bound(&name) {
            return Ok(Kind::Variable(name));
        }
        if let Some(native) = functions::find(&name) {
            return Ok(Kind::Native(native));
        }
        if &*name == CONTEXT {
            return Ok(Kind::Around(Around::All));
        }
        let words = match MISSING.contains(&&*name) {
            true => format!("the function ${name} of JSONata is not supported"),
            false => format!("there is no variable or function ${name}"),
        };
        Err(Fault::new(at, "", words))
    }

    /// `$context.topic` and the like are one step.
    fn around(&self, steps: &mut Vec<Node>) -> Result<(), Fault> {
        let is_context = matches!(&steps[0].kind, Kind::Variable(name) if &**name == CONTEXT);
        if !is_context || self.is_bound(CONTEXT) {
            return Ok(());
        }
        let name = |step: Option<&Node>| match step.map(|step| &step.kind) {
            Some(Kind::Name(name)) => Some(Arc::clone(name)),
            _ => None,
        };
        let (second, at) = (name(steps.get(1)), steps.get(1).map_or(0, |step| step.at));
        match second.as_deref() {
            Some("topic") => take(steps, Around::Topic),
            Some("label") => take(steps, Around::Label),
            Some("vars") => {
                let is_plain = steps[1].stages.is_empty();
                take(steps, Around::Vars);
                if let Some(var) = name(steps.get(1)).filter(|_| is_plain) {
                    let known = self.scope.vars;
                    if known.is_some_and(|known| !known.iter().any(|known| *known == *var)) {
                        let names = known.unwrap_or_default().join(", ");
                        let hint = if names.is_empty() { "" } else { ", but " };
                        let words =
                            format!("there is no variable {var} in $context.vars{hint}{names}");
                        return Err(Fault::new(steps[1].at, "", words));
                    }
                    take(steps, Around::Var(var));
                }
            }
            _ => {
                let words = "$context has topic, label and vars, and nothing else";
                return Err(Fault::new(at, "", words));
            }
        }
        Ok(())
    }

    fn call(&mut self, called: &mut Node, count: usize, at: usize) -> Result<(), Fault> {
        if let Some(name) = only_name(called).filter(|name| functions::find(name).is_some()) {
            let words = format!("functions begin with a dollar sign: ${name}(…)");
            return Err(Fault::new(called.at, "T1005", words));
        }
        self.node(called, 0)?;
        match &called.kind {
            Kind::Native(native) => check_count(native, count, at),
            _ => Ok(()),
        }
    }
}

/// The first two steps become one.
fn take(steps: &mut Vec<Node>, around: Around) {
    let member = steps.remove(1);
    steps[0].kind = Kind::Around(around);
    steps[0].stages = member.stages;
}

fn check_count(native: &Native, count: usize, at: usize) -> Result<(), Fault> {
    let (least, most) = native.counts();
    if (least..=most).contains(&count) {
        return Ok(());
    }
    let wanted = match (least, most) {
        (least, usize::MAX) => format!("at least {least}"),
        (least, most) if least == most => least.to_string(),
        (least, most) => format!("{least} to {most}"),
    };
    let words = format!("${} takes {wanted} arguments, not {count}", native.name);
    Err(Fault::new(at, "T0410", words))
}
