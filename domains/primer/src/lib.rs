//! The generated corpus that the nano base is made from: tool-call syntax, copying, look-up.
