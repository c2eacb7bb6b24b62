//! What each option means, and to which verbs.

/// An option that every verb has where it can mean anything.
pub struct Rule {
    pub option: &'static str,
    pub short: Option<char>,
    pub help: &'static str,
    /// Verbs that it means nothing to, and why.
    pub nothing: &'static [(&'static [&'static str], &'static str)],
    /// Verbs that it means something of their own to, and why.
    pub other: &'static [(&'static [&'static str], &'static str)],
}

const FACE: (&[&str], &str) = (&["cryptsetup"], "options are cryptsetup's own there");
const SCRIPT: (&[&str], &str) = (&["completions"], "it prints a script and asks nothing");
const NO_IMAGE: (&[&str], &str) = (
    &[
        "measure",
        "benchmark",
        "completions",
        "man",
        "close",
        "status",
        "mapping suspend",
        "umount",
    ],
    "there is no container",
);
const KERNEL: (&[&str], &str) = (
    &[
        "open",
        "close",
        "mapping resize",
        "mapping suspend",
        "mapping resume",
        "mapping refresh",
    ],
    "no file is written: a mapping is the kernel's, and goes with it",
);
const NO_KEY: (&[&str], &str) = (
    &[
        "inspect",
        "glance-props",
        "key list",
        "header backup",
        "header restore",
        "header repair",
        "header erase",
        "header convert",
        "header unseal",
        "token list",
        "token export",
    ],
    "nothing is unlocked",
);
const NEW: (&[&str], &str) = (
    &["encrypt", "create"],
    "the container is new: nothing is unlocked, and the other options say what its header is",
);
const NO_HEADER: (&[&str], &str) = (&["probe"], "a plain container has no header");
const READS: (&[&str], &str) = (
    &[
        "inspect",
        "glance-props",
        "probe",
        "verify",
        "compare",
        "measure",
        "key test",
        "key list",
        "token list",
        "benchmark",
        "completions",
        "status",
    ],
    "nothing is written",
);
const CHANGES: (&[&str], &str) = (
    &[
        "key add",
        "key change",
        "key remove",
        "key unmangle",
        "header erase",
        "header convert",
        "header config",
        "header seal",
        "header unseal",
        "token add",
        "token remove",
        "token import",
        "token assign",
        "token unassign",
    ],
    "what is changed must not be in use",
);
const IN_PLACE: (&[&str], &str) = (
    &["reencrypt", "resume"],
    "what is changed must not be in use",
);
const BOTH: (&[&str], &str) = (
    &[
        "decrypt",
        "clone",
        "resume",
        "serve",
        "mount",
        "verify",
        "key test",
        "key export",
        "open",
        "mapping resize",
        "mapping resume",
        "mapping refresh",
        "header seal",
    ],
    "given twice it opens both keys of a reencryption",
);
const SERVED: (&[&str], &str) = (
    &["serve", "mount", "umount"],
    "it writes what clients send, and no header",
);
const PAIR: (&[&str], &str) = (&["compare"], "there are two images");

pub const RULES: &[Rule] = &[
    Rule {
        option: "json",
        short: None,
        help: "Print the result as JSON, and warnings and errors as lines of JSON on standard error",
        nothing: &[FACE, SCRIPT],
        other: &[],
    },
    Rule {
        option: "batch-mode",
        short: Some('q'),
        help: "Ask nothing: yes to questions about the image. Say nothing of what was done, and show no progress bar",
        nothing: &[FACE, SCRIPT],
        other: &[],
    },
    Rule {
        option: "dry-run",
        short: None,
        help: "Say what would be written, and write nothing",
        nothing: &[FACE, READS, KERNEL, SERVED],
        other: &[],
    },
    Rule {
        option: "policy",
        short: None,
        help: "What the header must look like, or it is refused: a TOML file as `inspect --policy-template` writes it, or \
               builtin:confidential-vm; given more than once, each of them holds",
        nothing: &[NO_HEADER, FACE, NO_IMAGE, NEW],
        other: &[],
    },
    Rule {
        option: "header",
        short: None,
        help: "The header lies in this file, and the container holds data only",
        nothing: &[NO_HEADER, FACE, NO_IMAGE],
        other: &[PAIR],
    },
    Rule {
        option: "read-in-use",
        short: None,
        help: "Read an image even while another program may be writing it",
        nothing: &[
            FACE,
            NO_IMAGE,
            CHANGES,
            IN_PLACE,
            (
                &["header restore", "header repair"],
                "what is changed must not be in use",
            ),
            (&["create"], "no image is read"),
            (&["open"], "--shared is what maps it while it is in use"),
            (
                &["mapping resize", "mapping resume", "mapping refresh"],
                "what is read is in use by the mapping itself",
            ),
        ],
        other: &[],
    },
    Rule {
        option: "key-file",
        short: Some('d'),
        help: "Read the key from a file, newlines and all; `-` is standard input, credential:NAME what systemd passed on",
        nothing: &[FACE, NO_IMAGE, NO_KEY],
        other: &[PAIR, BOTH],
    },
    Rule {
        option: "key-fd",
        short: None,
        help: "Read the key from a file descriptor that the caller opened",
        nothing: &[FACE, NO_IMAGE, NO_KEY],
        other: &[PAIR, BOTH],
    },
    Rule {
        option: "secret",
        short: None,
        help: "Fetch the key from where it is kept: barbican:UUID, the URL of a secret, vault:PATH, json:FILE, fixed:FILE",
        nothing: &[FACE, NO_IMAGE, NO_KEY],
        other: &[PAIR, BOTH],
    },
    Rule {
        option: "insecure-secret",
        short: None,
        help: "Ask a server that is not on this machine for a secret without TLS: everybody on the way can read it",
        nothing: &[FACE, NO_IMAGE, NO_KEY],
        other: &[],
    },
    Rule {
        option: "keyfile-offset",
        short: None,
        help: "Leave out so many bytes at the start of the key file",
        nothing: &[FACE, NO_IMAGE, NO_KEY],
        other: &[],
    },
    Rule {
        option: "keyfile-size",
        short: Some('l'),
        help: "Read exactly so many bytes of the key file",
        nothing: &[FACE, NO_IMAGE, NO_KEY],
        other: &[],
    },
    Rule {
        option: "key-encoding",
        short: None,
        help: "How the bytes that are read spell the key",
        nothing: &[FACE, NO_IMAGE, NO_KEY],
        other: &[],
    },
    Rule {
        option: "key-format",
        short: None,
        help: "What becomes of the key before it is used [default: as-is; for a secret, what its type says]",
        nothing: &[FACE, NO_IMAGE, NO_KEY],
        other: &[],
    },
    Rule {
        option: "max-kdf-time",
        short: None,
        help: "Time that one keyslot may take, in milliseconds; all together may take ten times that [default: \
               `LUKSMITH_MAX_KDF_TIME`, or 60000]",
        nothing: &[NO_HEADER, FACE, NO_IMAGE, NO_KEY, NEW],
        other: &[],
    },
    Rule {
        option: "tries",
        short: Some('T'),
        help: "How often a passphrase may be typed that does not fit",
        nothing: &[NO_HEADER, FACE, NO_IMAGE, NO_KEY, NEW],
        other: &[],
    },
    Rule {
        option: "max-kdf-memory",
        short: None,
        help: "",
        nothing: &[NO_HEADER, FACE, NO_IMAGE, NO_KEY, NEW],
        other: &[],
    },
    Rule {
        option: "allow-unencrypted",
        short: None,
        help: "Read what nothing encrypted: under a null cipher, or in a linear segment of LUKS2",
        nothing: &[NO_HEADER, FACE, NO_IMAGE, NO_KEY, NEW],
        other: &[],
    },
    Rule {
        option: "require-seal",
        short: None,
        help: "Refuse a header that is not sealed, or whose seal is not right: by --seal where that is given, else by its own \
               token",
        nothing: &[NO_HEADER, FACE, NO_IMAGE, NO_KEY, NEW],
        other: &[],
    },
    Rule {
        option: "min-epoch",
        short: None,
        help: "Refuse a header that was changed less often than that (LUKS2): an older one that somebody brought back",
        nothing: &[NO_HEADER, FACE, NO_IMAGE, NO_KEY, NEW],
        other: &[],
    },
    Rule {
        option: "volume-key-file",
        short: None,
        help: "The volume key itself instead of a passphrase",
        nothing: &[
            NO_HEADER,
            FACE,
            (
                &[
                    "benchmark",
                    "completions",
                    "man",
                    "close",
                    "status",
                    "mapping suspend",
                    "umount",
                ],
                "there is no container",
            ),
            NO_KEY,
            (&["reencrypt"], "each keyslot's passphrase is needed"),
            (&["key unmangle"], "two passphrases are made of the key"),
        ],
        other: &[
            PAIR,
            (
                &[
                    "decrypt",
                    "clone",
                    "resume",
                    "serve",
                    "mount",
                    "verify",
                    "key add",
                    "key test",
                    "open",
                    "mapping resize",
                    "mapping resume",
                    "mapping refresh",
                    "header seal",
                ],
                "given twice it is both keys of a reencryption",
            ),
            (
                &["encrypt", "create", "measure"],
                "the volume key of the new container",
            ),
            (
                &["key export"],
                "cryptsetup's name for the file that it is written into",
            ),
            (
                &["key change", "key remove"],
                "--key-slot names the passphrase",
            ),
        ],
    },
    Rule {
        option: "key-slot",
        short: Some('S'),
        help: "Try this keyslot only, even one that is not tried unasked",
        nothing: &[
            NO_HEADER,
            FACE,
            (
                &[
                    "benchmark",
                    "completions",
                    "man",
                    "close",
                    "status",
                    "mapping suspend",
                    "umount",
                ],
                "there is no container",
            ),
            (
                &[
                    "inspect",
                    "glance-props",
                    "key unmangle",
                    "key list",
                    "header backup",
                    "header restore",
                    "header repair",
                    "header erase",
                    "header convert",
                    "header unseal",
                    "token list",
                    "token remove",
                    "token import",
                    "token export",
                ],
                "it is about all keyslots or none",
            ),
        ],
        other: &[
            PAIR,
            (
                &["encrypt", "create", "measure"],
                "the number of the new keyslot",
            ),
            (&["key remove"], "the keyslot that goes"),
            (&["reencrypt"], "the keyslot that stays"),
            (&["key export"], "an unbound keyslot has a key of its own"),
            (
                &[
                    "header config",
                    "token add",
                    "token assign",
                    "token unassign",
                ],
                "the keyslot that is spoken of: nothing is unlocked",
            ),
        ],
    },
    Rule {
        option: "force",
        short: None,
        help: "Replace an existing file once the new one is complete. It allows nothing else",
        nothing: &[
            FACE,
            READS,
            KERNEL,
            SERVED,
            (&["man"], "pages are always replaced"),
            CHANGES,
            (
                &["key export", "header backup", "token export"],
                "a key or a backup is the only one of its kind: it is never replaced",
            ),
        ],
        other: &[
            (
                &["header restore", "header repair"],
                "no file is replaced, but what a header is laid over",
            ),
            (
                &["reencrypt", "resume"],
                "no file is replaced, but data become noise, or what nothing proves is done",
            ),
            (
                &["resume"],
                "no file is replaced, but what nothing proves is done",
            ),
        ],
    },
    Rule {
        option: "header-backup-file",
        short: None,
        help: "First write a backup of header and keyslots into this new file",
        nothing: &[
            FACE,
            NEW,
            READS,
            KERNEL,
            SERVED,
            (
                &[
                    "decrypt",
                    "clone",
                    "man",
                    "key export",
                    "token export",
                    "resume",
                ],
                "no header is changed, or none that brings anything back",
            ),
        ],
        other: &[
            (&["header backup"], "the backup is the result"),
            (&["header restore"], "the backup is what is read"),
            (&["header repair"], "what is damaged may have no backup"),
        ],
    },
];

/// Options with different meanings that no rule speaks of, and why.
pub const DIFFER: &[(&str, &str)] = &[
    (
        "sector-size",
        "a new container has a default that follows its image, `benchmark` another",
    ),
    ("from", "of two images each may be another"),
    (
        "type",
        "`header convert` needs one, and no plain container has a header",
    ),
    (
        "hash",
        "of a new keyslot the hash of its header is the default; `benchmark` measures one",
    ),
    ("cipher", "`benchmark` measures one"),
    (
        "holes",
        "`clone` knows those of containers too, which are what was never written in them",
    ),
    (
        "keep-passphrase",
        "`key change` keeps it in place of a new one, `clone` beside others",
    ),
    ("key-size", "`benchmark` and the size of an unbound key"),
    ("pbkdf", "`benchmark` measures one"),
    ("iter-time", "`benchmark` measures for so long"),
    (
        "priority",
        "`key add` has a default, `header config` changes it",
    ),
    ("unbound", "an unbound key, and a token without a keyslot"),
    (
        "device-size",
        "`reencrypt` does a part of the data, `mapping resize` maps one",
    ),
    (
        "size",
        "`mapping resize` says how long what is open becomes",
    ),
    ("label", "`header config` takes it away by an empty one"),
    ("subsystem", "as the label"),
    ("uuid", "a new container has a random one"),
    (
        "allow-discards",
        "what `serve` gives back is its clients', what a mapping does the file system's above it, and `mount` punches holes \
         that read as zeros",
    ),
    (
        "run",
        "`serve` tells a command of a socket, `mount` of a file",
    ),
    ("token-id", "a new token has a default"),
    (
        "json-file",
        "read by `token import`, written by `token export`",
    ),
];
