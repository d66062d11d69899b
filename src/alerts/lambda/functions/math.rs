//! Numbers. What the standard library lacks comes from `libm`.

use super::{Body, Function, Trouble, takes};
use crate::alerts::lambda::Scope;
use crate::alerts::lambda::types::{Type, Value};

/// The highest order of a Bessel function: computing one takes as many steps.
const ORDER_MAX: i64 = 1000;

pub(super) const TABLE: &[Function] = &[
    one("abs", f64::abs),
    one("acos", f64::acos),
    one("acosh", f64::acosh),
    one("asin", f64::asin),
    one("asinh", f64::asinh),
    one("atan", f64::atan),
    two("atan2", f64::atan2),
    one("atanh", f64::atanh),
    one("cbrt", f64::cbrt),
    one("ceil", f64::ceil),
    one("cos", f64::cos),
    one("cosh", f64::cosh),
    one("erf", libm::erf),
    one("erfc", libm::erfc),
    one("exp", f64::exp),
    one("exp2", f64::exp2),
    one("expm1", f64::exp_m1),
    one("floor", f64::floor),
    one("gamma", libm::tgamma),
    two("hypot", f64::hypot),
    one("j0", libm::j0),
    one("j1", libm::j1),
    Function {
        name: "jn",
        body: Body::Other(&[takes(&[Type::Int, Type::Float], Type::Float)], jn),
    },
    one("log", f64::ln),
    one("log10", f64::log10),
    one("log1p", f64::ln_1p),
    one("log2", f64::log2),
    one("logb", binary_exponent),
    two("max", greater),
    two("min", lesser),
    two("mod", |one, other| one % other),
    two("pow", f64::powf),
    Function { name: "pow10", body: Body::Other(&[takes(&[Type::Int], Type::Float)], pow10) },
    one("sin", f64::sin),
    one("sinh", f64::sinh),
    one("sqrt", f64::sqrt),
    one("tan", f64::tan),
    one("tanh", f64::tanh),
    one("trunc", f64::trunc),
    one("y0", libm::y0),
    one("y1", libm::y1),
    Function {
        name: "yn",
        body: Body::Other(&[takes(&[Type::Int, Type::Float], Type::Float)], yn),
    },
];

const fn one(name: &'static str, body: fn(f64) -> f64) -> Function {
    Function { name, body: Body::Float(body) }
}

const fn two(name: &'static str, body: fn(f64, f64) -> f64) -> Function {
    Function { name, body: Body::Floats(body) }
}

/// Unlike `f64::max`, an infinity wins over a NaN, and a NaN over all others.
fn greater(one: f64, other: f64) -> f64 {
    if one == f64::INFINITY || other == f64::INFINITY {
        f64::INFINITY
    } else if one.is_nan() || other.is_nan() {
        f64::NAN
    } else {
        one.max(other)
    }
}

fn lesser(one: f64, other: f64) -> f64 {
    -greater(-one, -other)
}

fn binary_exponent(value: f64) -> f64 {
    if value == 0.0 {
        f64::NEG_INFINITY
    } else if value.is_infinite() {
        f64::INFINITY
    } else if value.is_nan() {
        value
    } else {
        f64::from(libm::ilogb(value))
    }
}

/// Read as a person writes it, because then each power is the float nearest to it.
fn pow10<'a>(given: &[Value<'a>], _: &dyn Scope) -> Result<Value<'a>, Trouble> {
    let &[Value::Int(power)] = given else { return Err(Trouble::Arguments) };
    let power = power.clamp(-400, 400);
    Ok(Value::Float(format!("1e{power}").parse().unwrap_or(f64::NAN)))
}

fn jn<'a>(given: &[Value<'a>], _: &dyn Scope) -> Result<Value<'a>, Trouble> {
    bessel(given, libm::jn)
}

fn yn<'a>(given: &[Value<'a>], _: &dyn Scope) -> Result<Value<'a>, Trouble> {
    bessel(given, libm::yn)
}

fn bessel<'a>(given: &[Value<'a>], body: fn(i32, f64) -> f64) -> Result<Value<'a>, Trouble> {
    let &[Value::Int(order), Value::Float(value)] = given else { return Err(Trouble::Arguments) };
    let order =
        i32::try_from(order).ok().filter(|order| i64::from(order.unsigned_abs()) <= ORDER_MAX);
    let Some(order) = order else {
        return Err(Trouble::Words(format!("the order is at most {ORDER_MAX}")));
    };
    Ok(Value::Float(body(order, value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_and_infinity_are_ordered() {
        let (inf, nan) = (f64::INFINITY, f64::NAN);
        assert_eq!(greater(nan, inf), inf);
        assert_eq!(lesser(-inf, nan), -inf);
        assert!(greater(nan, 1.0).is_nan() && lesser(1.0, nan).is_nan());
        assert_eq!((greater(1.0, 2.0), lesser(1.0, 2.0)), (2.0, 1.0));
    }

    #[test]
    fn exponents_of_numbers_at_the_edge() {
        for (value, wanted) in
            [(8.0, 3.0), (-0.3, -2.0), (0.0, f64::NEG_INFINITY), (f64::NEG_INFINITY, f64::INFINITY)]
        {
            assert_eq!(binary_exponent(value), wanted, "{value}");
        }
        assert!(binary_exponent(f64::NAN).is_nan());
    }
}
