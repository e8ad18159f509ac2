//! `port`: somebody listens, as the kernel lists it.

use std::time::Instant;

use resource::{Declaration, Properties, Schema, Shape};

use super::{Miss, must, property, schema};

/// A socket that listens, in /proc/net/tcp.
const LISTENS: &str = "0A";

pub(super) static SCHEMA: Schema = schema(
    "port",
    "Somebody listens on a TCP port.",
    "number",
    &[
        property("number", Shape::Text, "The port, as text: `port(\"80\")`."),
        property("open", Shape::Bool, "False: nobody listens; True if nothing is said."),
        property("local", Shape::Bool, "True: it takes connections of the machine itself only."),
    ],
);

pub(super) fn look(check: &Declaration, _: Instant) -> Result<(), Miss> {
    let properties = Properties(check);
    let number = properties.named(&SCHEMA);
    let Ok(port) = number.parse::<u16>() else {
        return Err(Miss::NotTested(format!("`{number}` is no port")));
    };
    let lists = ["/proc/net/tcp", "/proc/net/tcp6"].map(std::fs::read_to_string);
    let mut found: Vec<String> = Vec::new();
    for list in lists.into_iter().flatten() {
        found.extend(listening(&list, port));
    }
    let open = properties.bool("open", true);
    must(found.is_empty() != open, || match open {
        true => "nobody listens on it".to_owned(),
        false => "somebody listens on it".to_owned(),
    })?;
    // 127.0.0.1 and ::1, in words of the machine's byte order.
    let is_local =
        |address: &String| address.ends_with("7F") || address == "00000000000000000000000001000000";
    match properties.get("local") {
        Some(resource::Value::Bool(local)) if open => {
            must(found.iter().all(is_local) == *local, || match local {
                true => "it takes connections from elsewhere".to_owned(),
                false => "it takes connections of the machine itself only".to_owned(),
            })
        }
        _ => Ok(()),
    }
}

/// Returns the addresses on which a list of the kernel's has a port listening.
fn listening(list: &str, port: u16) -> impl Iterator<Item = String> {
    let wanted = format!("{port:04X}");
    list.lines().skip(1).filter_map(move |line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let (address, own) = fields.next()?.rsplit_once(':')?;
        (own == wanted && fields.nth(1) == Some(LISTENS)).then(|| address.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sockets_that_listen_count() {
        let list = "  sl  local_address rem_address   st\n\
                    0: 0100007F:1F90 00000000:0000 0A 00000000:00000000\n\
                    1: 0100007F:1F91 0100007F:1F90 01 00000000:00000000\n";
        assert_eq!(listening(list, 8080).collect::<Vec<_>>(), ["0100007F"]);
        assert_eq!(listening(list, 8081).count(), 0);
    }
}
