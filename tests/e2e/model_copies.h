// Copies of a checkpoint, sound and damaged.
#pragma once

#include <filesystem>
#include <string>

namespace millrace::e2e {

// The files of the checkpoint, without its folders.
void copy_model(const std::filesystem::path& from, const std::filesystem::path& to);

// Turns the rows of a tensor upside down, in the file that holds it: every header stays true, and the model loads.
// `tensor` is a name as stored, of any type and two dimensions.
void reverse_rows(const std::filesystem::path& model, const std::string& tensor);

}  // namespace millrace::e2e
