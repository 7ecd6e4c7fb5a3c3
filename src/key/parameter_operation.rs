//! The operations of the parameter store.

use crate::text::string_enum;

string_enum! {
    /// The operations of the parameter store, by the names used in permissions (`ssm:GetParameter`)
    /// and in the audit trail.
    ///
    /// The feature `parameters` contains the store itself. Policies and the audit trail know its
    /// operations without it, so that a store can be opened by builds with and without the feature.
    ///
    /// # Examples
    /// ```
    /// use strongroom::key::ParameterOperation;
    ///
    /// assert_eq!(ParameterOperation::parse("GetParameter")?, ParameterOperation::GetParameter);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub enum ParameterOperation as "operation of the parameter store" {
        /// Creates a parameter, or a version of it.
        PutParameter => "PutParameter",
        /// Returns one parameter.
        GetParameter => "GetParameter",
        /// Returns several parameters.
        GetParameters => "GetParameters",
        /// Returns the parameters below a path.
        GetParametersByPath => "GetParametersByPath",
        /// Returns the retained versions of a parameter.
        GetParameterHistory => "GetParameterHistory",
        /// Lists the metadata of parameters.
        DescribeParameters => "DescribeParameters",
        /// Deletes one parameter.
        DeleteParameter => "DeleteParameter",
        /// Deletes several parameters.
        DeleteParameters => "DeleteParameters",
        /// Attaches labels to a version.
        LabelParameterVersion => "LabelParameterVersion",
        /// Removes labels from a version.
        UnlabelParameterVersion => "UnlabelParameterVersion",
        /// Adds tags to a parameter.
        AddTagsToResource => "AddTagsToResource",
        /// Removes tags from a parameter.
        RemoveTagsFromResource => "RemoveTagsFromResource",
        /// Lists the tags of a parameter.
        ListTagsForResource => "ListTagsForResource",
    }
}

impl ParameterOperation {
    /// Returns `true` if the operation changes nothing.
    ///
    /// # Examples
    /// ```
    /// use strongroom::key::ParameterOperation;
    ///
    /// assert!(ParameterOperation::GetParameter.is_read_only());
    /// assert!(!ParameterOperation::PutParameter.is_read_only());
    /// ```
    pub const fn is_read_only(self) -> bool {
        match self {
            Self::GetParameter
            | Self::GetParameters
            | Self::GetParametersByPath
            | Self::GetParameterHistory
            | Self::DescribeParameters
            | Self::ListTagsForResource => true,
            Self::PutParameter
            | Self::DeleteParameter
            | Self::DeleteParameters
            | Self::LabelParameterVersion
            | Self::UnlabelParameterVersion
            | Self::AddTagsToResource
            | Self::RemoveTagsFromResource => false,
        }
    }
}
