"use strict";
async function gunzip(id) {  // the text of an element that holds gzipped base64
  const bytes = Uint8Array.from(atob(document.getElementById(id).textContent), char => char.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
}
