//! From bytes to values.

use crate::config::Reading;
use crate::jsonata::{Value, json};
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Base64 with or without the padding at its end.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Reads bytes; also says whether there are more of them than were read.
pub(super) fn read(reading: Reading, bytes: &[u8]) -> Result<(Value, bool), String> {
    let text = |text: &str| Ok((Value::text(text), false));
    match reading {
        Reading::Json => {
            let value = json::read(crate::mapping::json::trimmed(bytes));
            value.map(|value| (value, false)).map_err(|why| format!("payload is not JSON: {why}"))
        }
        Reading::Utf8 => text(utf8(bytes, "payload")?),
        Reading::Latin1 => text(&bytes.iter().copied().map(char::from).collect::<String>()),
        Reading::Ascii => match bytes.iter().position(|byte| !byte.is_ascii()) {
            None => text(utf8(bytes, "payload")?),
            Some(at) => Err(format!("payload is not ASCII: byte {}", at + 1)),
        },
        Reading::ToBase64 => text(&BASE64.encode(bytes)),
        Reading::FromBase64 => {
            let digits: Vec<u8> =
                bytes.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
            let decoded = BASE64.decode(digits);
            let decoded = decoded.map_err(|why| format!("payload is not base64: {why}"))?;
            text(utf8(&decoded, "what is in the base64")?)
        }
        Reading::Boolean => {
            let first = first::<1>(bytes, reading)?;
            Ok((Value::Bool(first != [0]), bytes.len() > 1))
        }
        Reading::Integer { bytes: length, is_signed, is_big } => {
            let number = integer(length, is_signed, is_big, bytes, reading)?;
            Ok((Value::Number(number), bytes.len() > length))
        }
        Reading::Float { bytes: length, is_big } => {
            let number = match length {
                4 => f64::from(f32::from_be_bytes(ordered(first(bytes, reading)?, is_big))),
                _ => f64::from_be_bytes(ordered(first(bytes, reading)?, is_big)),
            };
            Ok((Value::Number(number), bytes.len() > length))
        }
    }
}

fn utf8<'b>(bytes: &'b [u8], what: &str) -> Result<&'b str, String> {
    std::str::from_utf8(bytes)
        .map_err(|error| format!("{what} is not UTF-8: byte {}", error.valid_up_to() + 1))
}

fn integer(
    length: usize,
    is_signed: bool,
    is_big: bool,
    bytes: &[u8],
    reading: Reading,
) -> Result<f64, String> {
    let unsigned = match length {
        1 => u32::from(u8::from_be_bytes(first(bytes, reading)?)),
        2 => u32::from(u16::from_be_bytes(ordered(first(bytes, reading)?, is_big))),
        _ => u32::from_be_bytes(ordered(first(bytes, reading)?, is_big)),
    };
    if !is_signed {
        return Ok(f64::from(unsigned));
    }
    // The bit that counts most goes where the sign is, and back.
    let unused = 32 - 8 * u32::try_from(length).unwrap_or(4);
    Ok(f64::from((unsigned << unused).cast_signed() >> unused))
}

fn first<const N: usize>(bytes: &[u8], reading: Reading) -> Result<[u8; N], String> {
    bytes.first_chunk().copied().ok_or_else(|| {
        format!("payload has {} bytes, and {} needs {N}", bytes.len(), reading.name())
    })
}

fn ordered<const N: usize>(mut bytes: [u8; N], is_big: bool) -> [u8; N] {
    if !is_big {
        bytes.reverse();
    }
    bytes
}
