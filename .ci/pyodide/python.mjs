// Runs pytest in CPython as WebAssembly: node python.mjs PACKAGE ROOT SITE_PACKAGES [ARGUMENTS OF PYTEST...]
//
// PACKAGE is the folder of the npm package pyodide. ROOT, the repository, and SITE_PACKAGES, a folder of packages
// without compiled code, are mounted; temporary files stay in memory.
import path from "node:path";
import { pathToFileURL } from "node:url";

const [pyodide, root, sitePackages, ...options] = process.argv.slice(2);
const { loadPyodide } = await import(pathToFileURL(path.join(pyodide, "pyodide.mjs")).href);

let installed = "";
const python = await loadPyodide({
  env: {
    HOME: "/home/web_user",
    COLUMNS: "160", // no terminal tells how wide the summary may be
    HYPOTHESIS_STORAGE_DIRECTORY: "/tmp/hypothesis",
  },
  // Mounted before the interpreter starts, so that it finds there what is installed.
  fsInit: async (fileSystem, info) => {
    installed = info.sitePackages;
  },
});
python.mountNodeFS(installed, sitePackages);
python.mountNodeFS("/repository", root);
python.globals.set("options", python.toPy(options));

const main = `
import os, sys

os.chdir("/repository")
sys.argv[:] = ["pytest", *options]
sys.dont_write_bytecode = False  # the tests check what becomes of .pyc files

import pytest

int(pytest.main(list(options)))
`;

try {
  process.exitCode = python.runPython(main);
} catch (error) {
  console.error(error.message); // the stack would be a line of a megabyte
  process.exitCode = 3;
}
