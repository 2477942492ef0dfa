{
  "target_defaults": {
    "cflags": ["-Wall", "-Wextra", "-O2"],
    "cflags!": ["-Wno-unused-parameter"],
  },
  "targets": [
    {
      "target_name": "proc2elf",
      "sources": [
        "native/addon/addon.cc",
        "native/addon/copy.cc",
        "native/addon/cpu.cc",
        "native/addon/errors.cc",
        "native/addon/malloc.cc",
        "native/addon/outlive.cc",
        "native/addon/pages.cc",
        "native/addon/pty.cc",
        "native/addon/spawn.cc",
        "native/addon/syscall.cc",
        "native/addon/transfer.cc",
      ],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
      "defines": ["NAPI_VERSION=8"],
      "cflags_cc": ["-std=c++17", "-fexceptions"],
      "cflags_cc!": ["-fno-exceptions"],
      "actions": [
        {
          "action_name": "interpreter",
          "message": "Building the interpreter blob",
          "inputs": [
            "native/addon/embed.sh",
            "<!@(find native/interpreter -type f)",
          ],
          "outputs": ["<(SHARED_INTERMEDIATE_DIR)/interpreter/interpreter.S"],
          "process_outputs_as_sources": 1,
          "action": [
            "sh",
            "native/addon/embed.sh",
            "<(SHARED_INTERMEDIATE_DIR)/interpreter",
          ],
        }
      ],
    },
    {
      "target_name": "proc2elf-tracer",
      "type": "executable",
      "sources": ["<!@(find native/tracer -name '*.c' | sort)"],
      "cflags": ["-std=gnu17"],
      "defines": ["_GNU_SOURCE"],
    },
  ],
}
